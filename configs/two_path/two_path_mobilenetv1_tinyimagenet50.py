"""Two-path attention on 50 classes of Tiny-ImageNet: plain CAM's config with its head."""

_base_ = ["../cam/cam_mobilenetv1_tinyimagenet50.py"]

model = dict(
    head=dict(type="two_path.TwoPathHead"),
    fusion=dict(branches="mean", normalize_branches=True),
)
