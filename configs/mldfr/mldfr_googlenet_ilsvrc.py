"""mLDFR on ILSVRC: GoogLeNet."""

_base_ = ["_base_/googlenet.py", "_base_/ilsvrc.py"]

model = dict(head=dict(num_classes=1000))
