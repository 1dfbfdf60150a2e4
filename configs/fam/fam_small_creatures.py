"""FAM on the creatures with coats: plain CAM's config with FAM's head and its fixed threshold."""

_base_ = ["../cam/cam_small_creatures_coats.py"]

model = dict(
    head=dict(_delete_=True, type="fam.FAMHead", num_classes=10),
    fusion=dict(normalize="none"),
    boxes=dict(threshold=0.5),
)
