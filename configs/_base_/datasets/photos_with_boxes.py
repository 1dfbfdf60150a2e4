"""Your own photos in ``<data_root>/<train|val>/<class>/*.jpg``, with boxes for those of val.

Boxes are XML files as of PASCAL VOC beside the photos of val, which labelling tools write; or a
COCO json file, such as ``annotations="boxes.json"``.
"""

_base_ = ["../pipelines.py"]

data_root = "photos"
_parts = {"train-weaksup": "train", "test": "val"}
_set = dict(type="Images", reader=dict(type="ImageFolders", parts=_parts, annotations="."))
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        **_set,
        split="train-weaksup",
        pipeline=[
            dict(type="RandomResizedCrop", size=224, area=(0.6, 1.0)),
            dict(type="RandomFlip"),
        ],
    ),
)
test_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(**_set, split="test", pipeline=_base_._squash_224),
)
