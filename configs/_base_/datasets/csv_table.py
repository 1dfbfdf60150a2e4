"""Your own photos in a table ``<data_root>/labels.csv`` with image,label,x0,y0,x1,y1,split.

The boxes may be empty where split is ``train``; those of ``val`` are scored.
"""

_base_ = ["./photos_with_boxes.py"]

_parts = {"train-weaksup": "train", "test": "val"}
_reader = dict(_delete_=True, type="CsvTable", parts=_parts)
train_dataloader = dict(dataset=dict(reader=_reader))
test_dataloader = dict(dataset=dict(reader=_reader))
