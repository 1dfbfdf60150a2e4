"""mLDFR on CUB-200-2011: DenseNet161."""

_base_ = ["_base_/densenet161.py", "_base_/cub.py"]

model = dict(head=dict(num_classes=200))
train_dataloader = dict(batch_size=128)
