"""OpenImages30k as its archives unpack into one folder, cropped as the standard benchmark does."""

_base_ = ["wsolevaluation.py"]

data_root = "OpenImages"
_reader = dict(_delete_=True, type="OpenImages30k")
train_dataloader = dict(dataset=dict(reader=_reader))
val_dataloader = dict(dataset=dict(reader=_reader))
test_dataloader = dict(dataset=dict(reader=_reader))
