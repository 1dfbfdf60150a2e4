"""mLDFR on ILSVRC: ResNet50."""

_base_ = ["_base_/resnet50.py", "_base_/ilsvrc.py"]

model = dict(head=dict(num_classes=1000))
