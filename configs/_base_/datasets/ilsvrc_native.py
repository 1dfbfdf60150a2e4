"""ILSVRC (CLS-LOC) as its archives unpack: trained on train, scored on val, as the benchmark crops.

There is no train-fullsup: thresholds are fixed, or those of the test images; ``ilsvrc.py`` has
ImageNetV2 for them.
"""

data_root = "ILSVRC"
_set = dict(type="Images", reader=dict(type="ILSVRC"))
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
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(**_set, split="test", pipeline=[dict(type="Resize", size=224)]),
)
evaluation = dict(protocols=("wsolevaluation", "tight"))
