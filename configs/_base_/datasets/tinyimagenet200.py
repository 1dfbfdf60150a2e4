"""Tiny-ImageNet-200 as its zip file unpacks; 64 x 64 photos shown at 128 x 128.

A fiftieth of train, chosen by hashes of the images' ids, is train-fullsup; val is test.
"""

data_root = "tiny-imagenet-200"
_set = dict(type="Images", reader=dict(type="TinyImageNet", fullsup_share=0.02))
_squash = [dict(type="Resize", size=128)]
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        **_set,
        split="train-weaksup",
        pipeline=[
            dict(type="RandomResizedCrop", size=128, area=(0.7, 1.0)),
            dict(type="RandomFlip"),
        ],
    ),
)
val_dataloader = dict(
    batch_size=50, num_workers=2, dataset=dict(**_set, split="train-fullsup", pipeline=_squash)
)
test_dataloader = dict(
    batch_size=50, num_workers=2, dataset=dict(**_set, split="test", pipeline=_squash)
)
evaluation = dict(protocols=("tight", "wsolevaluation"))
