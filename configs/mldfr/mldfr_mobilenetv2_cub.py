"""mLDFR on CUB-200-2011: MobileNetV2."""

_base_ = ["_base_/mobilenetv2.py", "_base_/cub.py"]

model = dict(head=dict(num_classes=200))
