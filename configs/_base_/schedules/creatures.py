"""Short training from random weights for the embedded set."""

train_cfg = dict(max_epochs=12, val_interval=12)
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="AdamW", lr=4e-3, weight_decay=1e-2)
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, end=2, by_epoch=True, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        begin=2,
        T_max=10,
        end=12,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
