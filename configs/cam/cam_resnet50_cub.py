"""CAM on CUB-200-2011: ResNet50 with the last stage at stride 1."""

_base_ = [
    "../_base_/backbones/resnet50.py",
    "../_base_/datasets/cub.py",
    "../_base_/schedules/sgd_50e.py",
    "../_base_/runtime.py",
]

model = dict(
    type="Localizer",
    head=dict(type="cam.CAMHead", num_classes=200),
    fusion=dict(type="SingleView", interpolation="bicubic"),
    boxes=dict(type="ThresholdBoxes", threshold=0.2, instances="largest"),
)
# The benchmark's "classifier" group: the last stage too.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone.layer4": dict(lr_mult=10)}))
