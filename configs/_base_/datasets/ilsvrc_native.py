"""ILSVRC (CLS-LOC) as its archives unpack: trained on train, scored on val, as the benchmark crops.

There is no train-fullsup: thresholds are fixed, or those of the test images; ``ilsvrc.py`` has
ImageNetV2 for them.
"""

_base_ = ["../pipelines.py"]

data_root = "ILSVRC"
_set = dict(type="Images", reader=dict(type="ILSVRC"))
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(**_set, split="train-weaksup", pipeline=_base_._random_crop_224),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(**_set, split="test", pipeline=_base_._squash_224),
)
evaluation = dict(protocols=("wsolevaluation", "tight"))
