"""The embedded synthetic set: ten classes that differ in the head alone, 96 x 96."""

# Drawn once and kept, images cost next to nothing: workers would only take the cores.
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    dataset=dict(
        type="Creatures",
        split="train-weaksup",
        in_memory=True,
        pipeline=[dict(type="RandomFlip")],
    ),
)
val_dataloader = dict(
    batch_size=50, num_workers=2, dataset=dict(type="Creatures", split="train-fullsup")
)
test_dataloader = dict(batch_size=50, num_workers=2, dataset=dict(type="Creatures", split="test"))
evaluation = dict(protocols=("tight", "wsolevaluation"))
