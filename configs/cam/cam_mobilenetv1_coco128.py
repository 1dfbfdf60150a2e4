"""CAM on photos that show several classes, with COCO annotations and local ImageNet weights.

To start without weights: ``model.backbone.pretrained=False``.
"""

_base_ = [
    "../_base_/datasets/coco128.py",
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
    head=dict(type="cam.CAMHead", num_classes=80, loss=dict(type="BinaryCrossEntropy")),
    fusion=dict(type="SingleView", interpolation="bicubic"),
    boxes=dict(type="ThresholdBoxes", threshold=0.2, instances="all", min_area=0.01),
)
