"""VGG16 as in VGG-GAP and the standard benchmark: 14 x 14 cells, a convolution to 1024 channels."""

model = dict(backbone=dict(type="VGG16", output_stride=16, extra_conv=1024, pretrained=True))
