"""CAM on 50 classes of Tiny-ImageNet with ImageNet weights from a local file."""

_base_ = [
    "../_base_/datasets/tinyimagenet50.py",
    "../_base_/schedules/finetune_4e.py",
    "../_base_/runtime.py",
]

model = dict(
    type="Localizer",
    backbone=dict(
        type="MobileNetV1",
        width=0.75,
        output_stride=16,
        pretrained=dict(file="pretrained/mobilenetv1_075_imagenet.safetensors"),
    ),
    head=dict(type="cam.CAMHead", num_classes=50),
    fusion=dict(type="SingleView", interpolation="bicubic"),
    boxes=dict(type="ThresholdBoxes", threshold=0.2, instances="largest"),
)
