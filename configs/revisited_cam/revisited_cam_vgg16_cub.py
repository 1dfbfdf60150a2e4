"""The revisited CAM on CUB-200-2011 with VGG16: CAM's config, all three parts (section 5.5.1)."""

_base_ = ["../cam/cam_vgg16_cub.py"]

train_dataloader = dict(batch_size=32)
model = dict(
    head=dict(pooling=dict(type="revisited_cam.WeightedGlobalAveragePool")),
    map_source=dict(type="revisited_cam.RecombinedWeights"),
    boxes=dict(_delete_=True, type="revisited_cam.TwoStageBoxes"),
)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
