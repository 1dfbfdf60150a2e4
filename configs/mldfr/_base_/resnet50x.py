"""The paper's ResNet50X, ResNet50 without its BatchNorms: BN inserted beside SA (Table IX)."""

_base_ = ["resnet50.py"]

model = dict(
    backbone=dict(type="ResNet50X"),
    inserts=dict(bn=dict(at="@Conv2d", module=dict(type="BatchNorm"))),
)
