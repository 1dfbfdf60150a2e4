"""COCO 2017 as its archives unpack: trained on train2017, scored on val2017, several classes.

A fiftieth of train2017, chosen by hashes of the images' ids, is train-fullsup. The head needs 80
classes and ``loss=dict(type="BinaryCrossEntropy")``, the boxes ``instances="all"``.
"""

_base_ = ["../pipelines.py"]

data_root = "coco"
_set = dict(type="Images", reader=dict(type="CocoJson", fullsup_share=0.02))
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(**_set, split="train-weaksup", pipeline=_base_._area_crop_224),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(**_set, split="train-fullsup", pipeline=_base_._squash_224),
)
test_dataloader = dict(
    batch_size=64, num_workers=4, dataset=dict(**_set, split="test", pipeline=_base_._squash_224)
)
# The localization table is for one class an image.
evaluation = None
metrics = [dict(type="ClassificationMetric"), dict(type="DetectionMetric")]
