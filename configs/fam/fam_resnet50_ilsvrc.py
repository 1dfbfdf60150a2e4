"""FAM on ILSVRC with ResNet50: CAM's config with FAM's head and fixed threshold."""

_base_ = ["../cam/cam_resnet50_ilsvrc.py"]

model = dict(
    head=dict(_delete_=True, type="fam.FAMHead", num_classes=1000),
    fusion=dict(interpolation="bilinear", normalize="none"),
    boxes=dict(threshold=0.5),
)
