"""The attention branch network on the creatures with coats: plain CAM's config with its head.

Its map is the attention; ``model.fusion.branches=perception`` is the last classifier's CAM.
"""

_base_ = ["../cam/cam_small_creatures_coats.py"]

model = dict(
    head=dict(type="abn.AttentionBranchHead"),
    fusion=dict(branches="attention"),
)
