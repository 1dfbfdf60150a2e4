"""FAM on CUB-200-2011 with MobileNetV1, for which there is no config of plain CAM."""

_base_ = [
    "../_base_/backbones/mobilenetv1.py",
    "../_base_/datasets/cub.py",
    "../_base_/schedules/sgd_50e.py",
    "../_base_/runtime.py",
]

model = dict(
    type="Localizer",
    head=dict(type="fam.FAMHead", num_classes=200),
    fusion=dict(type="SingleView", normalize="none"),
    boxes=dict(type="ThresholdBoxes", threshold=0.5, instances="largest"),
)
