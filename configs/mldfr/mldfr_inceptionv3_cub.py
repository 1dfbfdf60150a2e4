"""mLDFR on CUB-200-2011: InceptionV3."""

_base_ = ["_base_/inceptionv3.py", "_base_/cub.py"]

model = dict(head=dict(num_classes=200))
# InceptionV3's own size.
train_dataloader = dict(dataset=dict(pipeline=_base_._area_crop_299))
val_dataloader = dict(dataset=dict(pipeline=_base_._double_299))
test_dataloader = dict(dataset=dict(pipeline=_base_._double_299))
