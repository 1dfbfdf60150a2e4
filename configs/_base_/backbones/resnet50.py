"""ResNet50 with the last stage at stride 1, as in the standard benchmark: 14 x 14 cells."""

model = dict(backbone=dict(type="ResNet50", output_stride=16, pretrained=True))
