"""OpenImages30k as its archives unpack into one folder, cropped as the standard benchmark does."""

_base_ = ["../pipelines.py"]

data_root = "OpenImages"
_set = dict(type="Images", reader=dict(type="OpenImages30k"))
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(**_set, split="train-weaksup", pipeline=_base_._random_crop_224),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(**_set, split="train-fullsup", pipeline=_base_._squash_224),
)
test_dataloader = dict(
    batch_size=64, num_workers=4, dataset=dict(**_set, split="test", pipeline=_base_._squash_224)
)
evaluation = dict(protocols=("wsolevaluation", "tight"))
