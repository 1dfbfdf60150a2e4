"""The revisited CAM on ILSVRC with VGG16: CAM's config, all three parts, trained as on CUB."""

_base_ = ["../cam/cam_vgg16_ilsvrc.py"]

train_dataloader = dict(batch_size=32)
model = dict(
    head=dict(pooling=dict(type="revisited_cam.WeightedGlobalAveragePool")),
    map_source=dict(type="revisited_cam.RecombinedWeights"),
    boxes=dict(_delete_=True, type="revisited_cam.TwoStageBoxes"),
)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
