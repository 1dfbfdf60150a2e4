"""Short training from random weights for the embedded set."""

train_cfg = dict(max_epochs=20, val_interval=20)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-2, weight_decay=1e-2))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, end=5, by_epoch=True, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        begin=5,
        T_max=15,
        end=20,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
