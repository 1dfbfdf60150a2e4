"""mLDFR on CUB-200-2011: ResNet50."""

_base_ = ["_base_/resnet50.py", "_base_/cub.py"]

model = dict(head=dict(num_classes=200))
