"""FAM on ILSVRC with VGG16: CAM's config with FAM's head and fixed threshold."""

_base_ = ["../cam/cam_vgg16_ilsvrc.py"]

model = dict(
    head=dict(_delete_=True, type="fam.FAMHead", num_classes=1000),
    fusion=dict(interpolation="bilinear", normalize="none"),
    boxes=dict(threshold=0.5),
)
