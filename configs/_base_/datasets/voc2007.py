"""PASCAL VOC 2007 as its archives unpack: trained on trainval, scored on test, several classes.

The head needs 20 classes and ``loss=dict(type="BinaryCrossEntropy")``, the boxes
``instances="all"``. CorLoc is mostly published of trainval: ``wsoltool test`` with
``test_dataloader.dataset.reader.parts.test=Main/trainval``.
"""

_base_ = ["../pipelines.py"]

data_root = "VOCdevkit"
_parts = {"train-weaksup": "Main/trainval", "test": "Main/test"}
_set = dict(type="Images", reader=dict(type="PascalVOC", years=("2007",), parts=_parts))
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(**_set, split="train-weaksup", pipeline=_base_._area_crop_224),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(**_set, split="test", pipeline=_base_._squash_224),
)
# The localization table is for one class an image. VOC's AP had 11 points until 2009.
evaluation = None
metrics = [dict(type="ClassificationMetric"), dict(type="DetectionMetric", ap="11point")]
