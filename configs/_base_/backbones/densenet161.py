"""DenseNet161 without the pooling of transition3: 14 x 14 cells."""

model = dict(backbone=dict(type="DenseNet161", output_stride=16, pretrained=True))
