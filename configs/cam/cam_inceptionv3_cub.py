"""CAM on CUB-200-2011: the standard benchmark's InceptionV3, two convolutions behind Mixed_6e."""

_base_ = [
    "../_base_/backbones/inceptionv3.py",
    "../_base_/datasets/cub.py",
    "../_base_/schedules/sgd_50e.py",
    "../_base_/runtime.py",
]

_dropout = dict(type="Dropout", probability=0.5)
model = dict(
    type="Localizer",
    inserts=[dict(at=point, module=_dropout) for point in ("Mixed_6e", "relu8", "relu9")],
    head=dict(type="cam.ConvHead", num_classes=200, bias=True),
    fusion=dict(type="SingleView", interpolation="bicubic"),
    boxes=dict(type="ThresholdBoxes", threshold=0.2, instances="largest"),
)
# What ImageNet's weights do not cover learns ten times as fast.
_fast = dict(lr_mult=10)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={"backbone.conv8": _fast, "backbone.conv9": _fast})
)
