"""The paper's InceptionV3: a transition instead of Mixed_7a, and SA."""

_base_ = ["model.py"]

model = dict(
    backbone=dict(
        type="InceptionV3",
        output_stride=16,
        surgery="mldfr",
        pretrained=True,
    ),
    inserts=dict(
        sa=[
            dict(at="pool1", module=dict(type="mldfr.SelfAttention", kernel_size=7)),
            dict(at="pool2", module=dict(type="mldfr.SelfAttention", kernel_size=5)),
            dict(at="Mixed_6a", module=dict(type="mldfr.SelfAttention", kernel_size=3)),
        ],
    ),
)
