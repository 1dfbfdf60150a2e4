"""GoogLeNet as in GoogLeNet-GAP: ends at inception4e, 14 x 14 cells, then 1024 channels."""

model = dict(
    backbone=dict(
        type="GoogLeNet", output_stride=16, surgery="cam", extra_conv=1024, pretrained=True
    )
)
