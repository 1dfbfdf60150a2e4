"""GoogLeNet as in GoogLeNet-GAP: up to inception4e, 14 x 14 cells, a convolution to 1024 channels."""

model = dict(
    backbone=dict(
        type="GoogLeNet", output_stride=16, surgery="cam", extra_conv=1024, pretrained=True
    )
)
