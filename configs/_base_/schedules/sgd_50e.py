"""The standard benchmark's recipe for CUB: 50 epochs, a tenth of the rate every 15."""

train_cfg = dict(max_epochs=50, val_interval=5)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={"head": dict(lr_mult=10)}),
)
param_scheduler = [dict(type="StepLR", step_size=15, gamma=0.1, by_epoch=True)]
