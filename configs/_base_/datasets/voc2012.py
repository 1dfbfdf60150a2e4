"""PASCAL VOC 2012 as its archive unpacks: boxes and pixels scored on Segmentation/val.

Main/trainval shows images of Segmentation/val, which are left out of training. The 10,582 images
that segmentation is mostly trained on need their list, of names or of files, below ImageSets:
``train_dataloader.dataset.reader.parts.train-weaksup=Segmentation/trainaug``; these are none of
Segmentation/val. The head needs 20 classes and ``loss=dict(type="BinaryCrossEntropy")``, the boxes
``instances="all"``.
"""

_base_ = ["./voc2007.py"]

_reader = dict(
    years=("2012",),
    parts={"train-weaksup": "Main/trainval", "test": "Segmentation/val"},
    without={"Main/trainval": "Segmentation/val"},
)
train_dataloader = dict(dataset=dict(reader=_reader))
test_dataloader = dict(dataset=dict(reader=_reader))
metrics = [
    dict(type="ClassificationMetric"),
    dict(type="DetectionMetric"),
    dict(type="SegmentationMetric", threshold=0.2),
]
