"""The revisited CAM on the creatures with coats: plain CAM's config with all three parts."""

_base_ = ["../cam/cam_small_creatures_coats.py"]

model = dict(
    head=dict(pooling=dict(type="revisited_cam.WeightedGlobalAveragePool")),
    map_source=dict(type="revisited_cam.RecombinedWeights"),
    boxes=dict(_delete_=True, type="revisited_cam.TwoStageBoxes"),
)
