"""The standard benchmark's recipe for ILSVRC: 10 epochs, a tenth of the rate every 3."""

train_cfg = dict(max_epochs=10, val_interval=1)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={"head": dict(lr_mult=10)}),
)
param_scheduler = [dict(type="StepLR", step_size=3, gamma=0.1, by_epoch=True)]
