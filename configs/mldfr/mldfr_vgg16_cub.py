"""mLDFR on CUB-200-2011: VGG16."""

_base_ = ["_base_/vgg16.py", "_base_/cub.py"]

model = dict(head=dict(num_classes=200))
