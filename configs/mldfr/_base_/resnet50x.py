"""The paper's ResNet50X, ResNet50 without its BatchNorms: BN and SA inserted (Table IX)."""

_base_ = ["model.py"]

model = dict(
    backbone=dict(
        type="ResNet50X",
        output_stride=16,
        surgery="mldfr",
        # torchvision's weights of the paper's time.
        pretrained="IMAGENET1K_V1",
    ),
    inserts=dict(
        bn=dict(at="@Conv2d", module=dict(type="BatchNorm")),
        sa=[
            dict(at="pool1", module=dict(type="mldfr.SelfAttention", kernel_size=7)),
            dict(at="layer2", module=dict(type="mldfr.SelfAttention", kernel_size=5)),
            dict(at="layer3", module=dict(type="mldfr.SelfAttention", kernel_size=3)),
        ],
    ),
)
