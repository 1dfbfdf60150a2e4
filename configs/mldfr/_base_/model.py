"""What the paper's networks share: Conv-Cls (section III-A), MsCAM and boxes (III-C)."""

model = dict(
    type="Localizer",
    head=dict(type="cam.ConvHead"),
    # The pipelines deliver images at twice the network's own size; see pipelines.py.
    fusion=dict(type="MultiScale", scales=(1.0, 1.5, 2.0), input_scale=2.0, reduce="sum"),
    boxes=dict(type="ThresholdBoxes", threshold=0.2, instances="largest"),
)
