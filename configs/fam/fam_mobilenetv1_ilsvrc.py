"""FAM on ILSVRC with MobileNetV1 at 14 x 14 cells.

torchvision publishes no weights of this network: ``file`` holds Keras' (alpha 1) under the names
of ``MobileNetV1().state_dict()``.
"""

_base_ = [
    "../_base_/datasets/ilsvrc.py",
    "../_base_/schedules/sgd_10e.py",
    "../_base_/runtime.py",
]

model = dict(
    type="Localizer",
    backbone=dict(
        type="MobileNetV1",
        output_stride=16,
        pretrained=dict(file="pretrained/mobilenetv1_100_imagenet.safetensors"),
    ),
    head=dict(type="fam.FAMHead", num_classes=1000),
    fusion=dict(type="SingleView", normalize="none"),
    boxes=dict(type="ThresholdBoxes", threshold=0.5, instances="largest"),
)
