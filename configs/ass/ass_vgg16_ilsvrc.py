"""ASS on ILSVRC with VGG16: plain CAM with the selection strategy at three places."""

_base_ = ["../cam/cam_vgg16_ilsvrc.py"]

# Section 3.3.1: pool3 (28 x 28 positions), pool4 and conv5_3 (14 x 14), whose ReLU comes after it.
model = dict(
    inserts=dict(
        strategy=dict(
            at=["pool3", "pool4", "relu5_3"],
            module=dict(type="ass.SelectionStrategy"),
        )
    )
)
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=0.001))
