"""The standard benchmark's InceptionV3: up to Mixed_6e, 14 x 14 cells, two convolutions to 1024."""

model = dict(
    backbone=dict(
        type="InceptionV3",
        output_stride=16,
        surgery="wsolevaluation",
        extra_conv=(1024, 1024),
        pretrained=True,
    )
)
