"""CAM on your own photos in class-named folders; set ``model.head.num_classes``."""

_base_ = [
    "../_base_/backbones/resnet50.py",
    "../_base_/datasets/photos.py",
    "../_base_/schedules/finetune_10e.py",
    "../_base_/runtime.py",
]

model = dict(
    type="Localizer",
    head=dict(type="cam.CAMHead", num_classes=2),
    fusion=dict(type="Flip"),
    boxes=dict(type="ThresholdBoxes", threshold=0.2, instances="largest"),
)
