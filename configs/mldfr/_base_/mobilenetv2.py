"""MobileNetV2 by the paper's rule: a transition for features.14, SA after halving blocks."""

_base_ = ["model.py"]

model = dict(
    backbone=dict(
        type="MobileNetV2",
        output_stride=16,
        surgery="mldfr",
        # torchvision's weights of the paper's time.
        pretrained="IMAGENET1K_V1",
    ),
    inserts=dict(
        sa=[
            dict(at="features.2", module=dict(type="mldfr.SelfAttention", kernel_size=7)),
            dict(at="features.4", module=dict(type="mldfr.SelfAttention", kernel_size=5)),
            dict(at="features.7", module=dict(type="mldfr.SelfAttention", kernel_size=3)),
        ],
    ),
)
