"""Short training from random weights for the embedded set."""

train_cfg = dict(max_epochs=12, val_interval=4)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
)
param_scheduler = [
    dict(type="CosineAnnealingLR", T_max=12, by_epoch=True, convert_to_iter_based=True)
]
