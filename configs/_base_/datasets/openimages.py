"""OpenImages30k as its archives unpack into one folder, cropped as the standard benchmark does."""

data_root = "OpenImages"
_set = dict(type="Images", reader=dict(type="OpenImages30k"))
_squash = [dict(type="Resize", size=224)]
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(
        **_set,
        split="train-weaksup",
        pipeline=[
            dict(type="Resize", size=256),
            dict(type="RandomCrop", size=224),
            dict(type="RandomFlip"),
        ],
    ),
)
val_dataloader = dict(
    batch_size=64, num_workers=4, dataset=dict(**_set, split="train-fullsup", pipeline=_squash)
)
test_dataloader = dict(
    batch_size=64, num_workers=4, dataset=dict(**_set, split="test", pipeline=_squash)
)
evaluation = dict(protocols=("wsolevaluation", "tight"))
