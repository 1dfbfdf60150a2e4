"""MobileNetV2 with the last stage at stride 1: 14 x 14 cells."""

model = dict(backbone=dict(type="MobileNetV2", output_stride=16, pretrained=True))
