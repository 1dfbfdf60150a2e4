"""The attention branch network on CUB-200-2011 with ResNet50: plain CAM's config with its head.

Its map is the attention; ``model.fusion.branches=perception`` is the last classifier's CAM.
"""

_base_ = ["../cam/cam_resnet50_cub.py"]

model = dict(
    head=dict(type="abn.AttentionBranchHead"),
    fusion=dict(branches="attention"),
)
