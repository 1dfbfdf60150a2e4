"""CAM on embedded images with one to three creatures of several classes, scored as on VOC.

Training ends with the classes known (mAP@0.1) and the heads found, but not the creatures
(mAP@0.5).
"""

_base_ = ["./cam_small_creatures.py"]

_several = dict(num_classes=5, instances=(1, 3), multi_label=True)
train_dataloader = dict(dataset=_several)
val_dataloader = dict(dataset=_several)
test_dataloader = dict(dataset=_several)

model = dict(
    head=dict(type="cam.ConvHead", num_classes=5, loss=dict(type="BinaryCrossEntropy")),
    boxes=dict(instances="all", min_area=0.01),
)

# The localization table is for one class an image.
evaluation = None
metrics = [
    dict(type="ClassificationMetric"),
    dict(type="DetectionMetric"),
    dict(type="SegmentationMetric", threshold=0.2),
]
