"""mLDFR on ILSVRC: ResNet50X."""

_base_ = ["_base_/resnet50x.py", "_base_/ilsvrc.py"]

model = dict(head=dict(num_classes=1000))
