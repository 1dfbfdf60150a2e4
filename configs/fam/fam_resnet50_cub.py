"""FAM on CUB-200-2011 with ResNet50: CAM's config with FAM's head and fixed threshold."""

_base_ = ["../cam/cam_resnet50_cub.py"]

model = dict(
    head=dict(_delete_=True, type="fam.FAMHead", num_classes=200),
    fusion=dict(interpolation="bilinear", normalize="none"),
    boxes=dict(threshold=0.5),
)
