"""mLDFR on ILSVRC: DenseNet161."""

_base_ = ["_base_/densenet161.py", "_base_/ilsvrc.py"]

model = dict(head=dict(num_classes=1000))
train_dataloader = dict(batch_size=128)
