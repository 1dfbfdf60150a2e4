"""A COCO folder of few photos: a fifth of the training photos are train-fullsup."""

_base_ = ["./coco.py"]

data_root = "coco128"
_reader = dict(fullsup_share=0.2)
train_dataloader = dict(batch_size=16, num_workers=2, dataset=dict(reader=_reader))
val_dataloader = dict(batch_size=32, num_workers=2, dataset=dict(reader=_reader))
test_dataloader = dict(batch_size=32, num_workers=2, dataset=dict(reader=_reader))
