"""Class grouping on few photos with COCO's 80 classes: a smoke test, with local ImageNet weights.

To start without weights: ``model.backbone.networks.a.pretrained=False``, and the same of ``b``.
"""

_base_ = [
    "../_base_/datasets/coco128.py",
    "../_base_/schedules/finetune_4e.py",
    "../_base_/runtime.py",
]

_network = dict(
    type="MobileNetV1",
    width=0.75,
    output_stride=16,
    pretrained=dict(file="pretrained/mobilenetv1_075_imagenet.safetensors"),
)
model = dict(
    type="Localizer",
    backbone=dict(type="Parallel", networks=dict(a=_network, b=_network)),
    head=dict(
        type="class_grouping.BranchesHead",
        num_classes=80,
        loss=dict(type="BinaryCrossEntropy"),
        # Both networks start from the same weights, where the orthogonal loss is largest: at the
        # usual 1e-4 it was 32 beside classification losses of 0.55, and nothing was learned.
        orthogonal=1e-6,
    ),
    map_source=dict(type="gradcam.GradCAM", target=["a.last", "b.last"]),
    fusion=dict(type="class_grouping.LevelFusion"),
    boxes=dict(type="ThresholdBoxes", threshold=0.15, instances="all", min_area=0.01),
)
# Metrics are the data set's: ClassificationMetric and DetectionMetric.
stages = dict(type="class_grouping.Levels", levels=(80, 40, 20, 10))
