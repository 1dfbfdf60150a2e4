"""The paper's ResNet50: layer4 at stride 1 by a 1x1 convolution, and SA."""

_base_ = ["model.py"]

model = dict(
    backbone=dict(
        type="ResNet50",
        output_stride=16,
        surgery="mldfr",
        # torchvision's weights of the paper's time.
        pretrained="IMAGENET1K_V1",
    ),
    inserts=dict(
        sa=[
            dict(at="pool1", module=dict(type="mldfr.SelfAttention", kernel_size=7)),
            dict(at="layer2", module=dict(type="mldfr.SelfAttention", kernel_size=5)),
            dict(at="layer3", module=dict(type="mldfr.SelfAttention", kernel_size=3)),
        ],
    ),
)
