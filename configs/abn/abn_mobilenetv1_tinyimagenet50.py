"""The attention branch network on 50 classes of Tiny-ImageNet: plain CAM's config with its head.

Its map is the attention; ``model.fusion.branches=perception`` is the last classifier's CAM.
"""

_base_ = ["../cam/cam_mobilenetv1_tinyimagenet50.py"]

model = dict(
    head=dict(type="abn.AttentionBranchHead"),
    fusion=dict(branches="attention"),
)
