"""PASCAL VOC 2007, trained on trainval and scored on test with MsCAM's five scales (IV-E)."""

_base_ = [
    "pipelines.py",
    "../../_base_/datasets/voc2007.py",
    "../../_base_/schedules/plateau_50e.py",
    "../../_base_/runtime.py",
]

train_dataloader = dict(batch_size=256, dataset=dict(pipeline=_base_._area_crop_224))
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_._two_and_a_half_224))
