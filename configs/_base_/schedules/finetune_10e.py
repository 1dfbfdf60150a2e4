"""Ten epochs from ImageNet weights, the head five times as fast as the backbone."""

_base_ = ["finetune_4e.py"]

train_cfg = dict(max_epochs=10)
param_scheduler = [
    dict(type="CosineAnnealingLR", T_max=10, by_epoch=True, convert_to_iter_based=True)
]
