"""torchvision's EfficientNet-B0 with the last stage at stride 1: 14 x 14 cells."""

model = dict(
    backbone=dict(type="Torchvision", network="efficientnet_b0", output_stride=16, pretrained=True)
)
