"""CUB-200-2011 with wsolevaluation's metadata, and its crops: 256 squashed, 224 random.

Expects ``images/`` (the set's own, with CUBV2 beside it as ``CUBV2/``) and
``metadata/<train-weaksup|train-fullsup|test>/`` below ``data_root``.
"""

data_root = "CUB"
_set = dict(type="WsolMetadata", images=".", box_convention="exclusive")
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
