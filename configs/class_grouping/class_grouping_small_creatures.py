"""Class grouping on embedded images with one or two creatures of twenty classes.

Classes of the same face wear the same coat, in four of five, and differ in their ears: what tells a
class is small, what tells a group of look-alikes is the whole creature.
"""

_base_ = [
    "../_base_/datasets/creatures.py",
    "../_base_/schedules/creatures.py",
    "../_base_/runtime.py",
]

_several = dict(num_classes=20, instances=(1, 2), coat_bias=0.8, coats=5, multi_label=True)
train_dataloader = dict(dataset=_several)
val_dataloader = dict(dataset=_several)
test_dataloader = dict(dataset=_several)

_network = dict(type="SmallNet", channels=(24, 48, 96, 96), output_stride=8)
model = dict(
    type="Localizer",
    backbone=dict(type="Parallel", networks=dict(a=_network, b=_network)),
    head=dict(
        type="class_grouping.BranchesHead", num_classes=20, loss=dict(type="BinaryCrossEntropy")
    ),
    map_source=dict(type="gradcam.GradCAM", target=["a.last", "b.last"]),
    fusion=dict(type="class_grouping.LevelFusion"),
    boxes=dict(type="ThresholdBoxes", threshold=0.15, instances="all", min_area=0.01),
)
stages = dict(type="class_grouping.Levels", levels=(20, 12, 8, 5))

# The localization table is for one class an image.
evaluation = None
metrics = [
    dict(type="ClassificationMetric"),
    dict(type="DetectionMetric"),
    dict(type="SegmentationMetric", threshold=0.15),
]
