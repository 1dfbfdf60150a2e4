"""What CUB and ILSVRC share: the paper's crops, batches and recipe (section IV-B)."""

_base_ = [
    "pipelines.py",
    "../../_base_/datasets/wsolevaluation.py",
    "../../_base_/schedules/plateau_50e.py",
    "../../_base_/runtime.py",
]

train_dataloader = dict(batch_size=256, dataset=dict(pipeline=_base_._area_crop_224))
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_._double_224))
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_._double_224))
