"""Two-path attention on the creatures with coats: plain CAM's config with its head."""

_base_ = ["../cam/cam_small_creatures_coats.py"]

model = dict(
    head=dict(type="two_path.TwoPathHead"),
    fusion=dict(branches="mean", normalize_branches=True),
)
