"""mLDFR's recipe: 50 epochs, a tenth of the rate when the training loss has stopped to fall.

The paper's batches are of 256 images (128 for DenseNet161); one rate for head and backbone.
"""

train_cfg = dict(max_epochs=50, val_interval=5)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.03, momentum=0.9, weight_decay=1e-4),
)
# Three epochs without improvement are borne; the fourth lowers the rate.
param_scheduler = [
    dict(type="ReduceOnPlateauLR", monitor="train/loss", rule="less", factor=0.1, patience=3)
]
