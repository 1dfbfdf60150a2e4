"""mLDFR on 50 classes of Tiny-ImageNet: plain CAM's config with self-attention and MsCAM.

MobileNetV1 has its batch normalisation already. The head is CAM's: the paper's (section III-A)
is equal to it, and so the two configs differ in the method alone.
"""

_base_ = ["../cam/cam_mobilenetv1_tinyimagenet50.py"]

# The release's momentum of 0.01 would need more batches than there are. ImageNet's weights were
# trained without attentions: these begin open.
_attention = dict(type="mldfr.SelfAttention", momentum=0.1, start=4.0)
model = dict(
    inserts=dict(
        sa=[
            dict(at="stage1", module=dict(**_attention, kernel_size=7)),
            dict(at="stage2", module=dict(**_attention, kernel_size=5)),
            dict(at="stage3", module=dict(**_attention, kernel_size=3)),
        ]
    ),
    fusion=dict(
        _delete_=True,
        type="MultiScale",
        scales=(1.0, 1.5, 2.0),
        reduce="sum",
        interpolation="bicubic",
    ),
)
