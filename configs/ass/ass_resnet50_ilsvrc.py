"""ASS on ILSVRC with ResNet50: plain CAM with the selection strategy at three places.

The thesis has ASS on VGG16 alone; these are the places whose maps have the same sizes.
"""

_base_ = ["../cam/cam_resnet50_ilsvrc.py"]

# 28 x 28 positions, then twice 14 x 14, as on VGG16.
model = dict(
    inserts=dict(
        strategy=dict(
            at=["stage2", "stage3", "stage4"],
            module=dict(type="ass.SelectionStrategy"),
        )
    )
)
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=0.001))
