"""mLDFR on CUB-200-2011: GoogLeNet."""

_base_ = ["_base_/googlenet.py", "_base_/cub.py"]

model = dict(head=dict(num_classes=200))
