"""The paper's DenseNet161: no pooling in transition3, and SA where the authors' release has it.

By the paper's text the last SA comes after the fourth downsampling, that of transition2 with 384
channels, not 1056: ``model.inserts.sa.2.at=transition2``.
"""

_base_ = ["model.py"]

model = dict(
    backbone=dict(
        type="DenseNet161",
        output_stride=16,
        surgery="mldfr",
        pretrained=True,
    ),
    inserts=dict(
        sa=[
            dict(at="pool1", module=dict(type="mldfr.SelfAttention", kernel_size=7)),
            dict(at="transition1", module=dict(type="mldfr.SelfAttention", kernel_size=5)),
            dict(at="transition3", module=dict(type="mldfr.SelfAttention", kernel_size=3)),
        ],
    ),
)
