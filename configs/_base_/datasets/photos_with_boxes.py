"""Your own photos in ``<data_root>/<train|val>/<class>/*.jpg``, with boxes for those of val.

Boxes are XML files as of PASCAL VOC beside the photos of val, which labelling tools write; or a
COCO json file, such as ``annotations="boxes.json"``.
"""

_base_ = ["./photos.py"]

_reader = dict(parts={"train-weaksup": "train", "test": "val"}, annotations=".")
train_dataloader = dict(dataset=dict(reader=_reader))
test_dataloader = dict(dataset=dict(reader=_reader))
