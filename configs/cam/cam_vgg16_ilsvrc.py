"""CAM on ILSVRC: VGG16 with the last pooling dropped and a convolution to 1024 channels."""

_base_ = [
    "../_base_/backbones/vgg16.py",
    "../_base_/datasets/ilsvrc.py",
    "../_base_/schedules/sgd_10e.py",
    "../_base_/runtime.py",
]

model = dict(
    type="Localizer",
    head=dict(type="cam.CAMHead", num_classes=1000),
    fusion=dict(type="SingleView", interpolation="bicubic"),
    boxes=dict(type="ThresholdBoxes", threshold=0.2, instances="largest"),
)
# The benchmark's "classifier" group: all but VGG16's own layers.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone.conv6": dict(lr_mult=10)}))
