"""COCO 2017 as its archives unpack: trained on train2017, scored on val2017, several classes.

A fiftieth of train2017, chosen by hashes of the images' ids, is train-fullsup. The head needs 80
classes and ``loss=dict(type="BinaryCrossEntropy")``, the boxes ``instances="all"``.
"""

data_root = "coco"
_set = dict(type="Images", reader=dict(type="CocoJson", fullsup_share=0.02))
_squash = [dict(type="Resize", size=224)]
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(
        **_set,
        split="train-weaksup",
        pipeline=[
            dict(type="RandomResizedCrop", size=224, area=(0.8, 1.0)),
            dict(type="RandomFlip"),
        ],
    ),
)
val_dataloader = dict(
    batch_size=64, num_workers=4, dataset=dict(**_set, split="train-fullsup", pipeline=_squash)
)
test_dataloader = dict(
    batch_size=64, num_workers=4, dataset=dict(**_set, split="test", pipeline=_squash)
)
# The localization table is for one class an image.
evaluation = None
metrics = [dict(type="DetectionMetric")]
