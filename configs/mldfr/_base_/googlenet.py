"""The paper's GoogLeNet: a transition for the last pooling, BN and SA inserted.

torchvision's GoogLeNet has BatchNorms of its own; the paper's has none but those inserted.
"""

_base_ = ["model.py"]

model = dict(
    backbone=dict(
        type="GoogLeNet",
        output_stride=16,
        surgery="mldfr",
        batch_norm=False,
        pretrained=True,
    ),
    inserts=dict(
        bn=dict(at="@Conv2d", module=dict(type="BatchNorm")),
        sa=[
            dict(at="pool1", module=dict(type="mldfr.SelfAttention", kernel_size=7)),
            dict(at="pool2", module=dict(type="mldfr.SelfAttention", kernel_size=5)),
            dict(at="pool3", module=dict(type="mldfr.SelfAttention", kernel_size=3)),
        ],
    ),
)
