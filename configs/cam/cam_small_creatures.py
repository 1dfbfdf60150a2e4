"""CAM on the embedded creatures: the demo."""

_base_ = [
    "../_base_/datasets/creatures.py",
    "../_base_/schedules/creatures.py",
    "../_base_/runtime.py",
]

model = dict(
    type="Localizer",
    backbone=dict(type="SmallNet"),
    head=dict(type="cam.CAMHead", num_classes=10),
    fusion=dict(type="SingleView"),
    boxes=dict(type="ThresholdBoxes", threshold=0.2, instances="largest"),
)
