"""FAM on 50 classes of Tiny-ImageNet: plain CAM's config with FAM's head and fixed threshold."""

_base_ = ["../cam/cam_mobilenetv1_tinyimagenet50.py"]

model = dict(
    head=dict(_delete_=True, type="fam.FAMHead", num_classes=50),
    fusion=dict(interpolation="bilinear", normalize="none"),
    boxes=dict(threshold=0.5),
)
