"""mLDFR on ILSVRC: VGG16."""

_base_ = ["_base_/vgg16.py", "_base_/ilsvrc.py"]

model = dict(head=dict(num_classes=1000))
