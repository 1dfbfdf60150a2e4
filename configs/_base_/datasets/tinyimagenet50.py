"""50 classes of Tiny-ImageNet in wsolevaluation metadata; 64 x 64 photos shown at 128 x 128."""

_base_ = ["./tinyimagenet200.py"]

data_root = "tinyimagenet50"
_reader = dict(_delete_=True, type="WsolMetadata", box_convention="inclusive")
train_dataloader = dict(dataset=dict(reader=_reader))
val_dataloader = dict(dataset=dict(reader=_reader))
test_dataloader = dict(dataset=dict(reader=_reader))
