"""The paper's VGG16: one pooling less, one convolution more, BN and SA inserted."""

_base_ = ["model.py"]

model = dict(
    backbone=dict(
        type="VGG16",
        output_stride=16,
        surgery="mldfr",
        extra_conv=1024,
        pretrained=True,
    ),
    inserts=dict(
        bn=dict(at="@Conv2d", module=dict(type="BatchNorm")),
        sa=[
            dict(at="pool2", module=dict(type="mldfr.SelfAttention", kernel_size=7)),
            dict(at="pool3", module=dict(type="mldfr.SelfAttention", kernel_size=5)),
            dict(at="pool4", module=dict(type="mldfr.SelfAttention", kernel_size=3)),
        ],
    ),
)
