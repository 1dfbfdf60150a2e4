"""MobileNetV1 with the last stage at stride 1: 14 x 14 cells.

torchvision publishes no weights of this network: ``file`` holds Keras' (alpha 1) under the names
of ``MobileNetV1().state_dict()``.
"""

model = dict(
    backbone=dict(
        type="MobileNetV1",
        output_stride=16,
        pretrained=dict(file="pretrained/mobilenetv1_100_imagenet.safetensors"),
    )
)
