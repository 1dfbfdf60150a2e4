"""ADH on ILSVRC with ResNet50: plain CAM's config with dual hiding and the thesis's rate."""

_base_ = ["../cam/cam_resnet50_ilsvrc.py"]

_hiding = dict(type="adh.DualHiding", peak=0.9, selection=dict(dispersion=40.0))
model = dict(
    inserts=dict(
        early=dict(at="stage2", module=dict(**_hiding, block_size=5)),  # 28 x 28 positions
        middle=dict(at="stage3", module=dict(**_hiding, block_size=3)),  # 14 x 14
        late=dict(at="stage4", module=dict(**_hiding, block_size=3)),  # 14 x 14
    )
)
optim_wrapper = dict(optimizer=dict(lr=0.001))
train_dataloader = dict(batch_size=32)
