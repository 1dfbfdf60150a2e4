"""mLDFR on ILSVRC: MobileNetV2."""

_base_ = ["_base_/mobilenetv2.py", "_base_/ilsvrc.py"]

model = dict(head=dict(num_classes=1000))
