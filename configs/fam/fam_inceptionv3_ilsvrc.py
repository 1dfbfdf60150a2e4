"""FAM on ILSVRC with InceptionV3: CAM's config with FAM's head and fixed threshold."""

_base_ = ["../cam/cam_inceptionv3_ilsvrc.py"]

model = dict(
    inserts=None,  # the benchmark's Dropouts are not FAM's
    head=dict(_delete_=True, type="fam.FAMHead", num_classes=1000),
    fusion=dict(interpolation="bilinear", normalize="none"),
    boxes=dict(threshold=0.5),
)
