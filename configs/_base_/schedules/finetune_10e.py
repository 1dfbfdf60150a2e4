"""Ten epochs from ImageNet weights, the head five times as fast as the backbone."""

train_cfg = dict(max_epochs=10, val_interval=1)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=0.2)}),
)
param_scheduler = [
    dict(type="CosineAnnealingLR", T_max=10, by_epoch=True, convert_to_iter_based=True)
]
