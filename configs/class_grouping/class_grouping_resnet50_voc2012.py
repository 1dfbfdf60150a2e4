"""Class grouping on PASCAL VOC 2012 with ResNet50 (Huang et al., 2019), trained on trainaug.

The paper's four levels of 20, 12, 8 and 5; two networks each, Grad-CAM of both. It names no
optimizer: Adam. ``trainaug`` is a list that VOC's archive has not: 10,582 names of images in
``ImageSets/Segmentation/trainaug.txt``.
"""

_base_ = ["../_base_/datasets/voc2012.py", "../_base_/runtime.py"]

# As published, at stride 32: 7 x 7 cells of 2048 channels, on whose number the orthogonal loss
# depends.
_network = dict(type="ResNet50", output_stride=32, pretrained=True)
model = dict(
    type="Localizer",
    backbone=dict(type="Parallel", networks=dict(a=_network, b=_network)),
    head=dict(
        type="class_grouping.BranchesHead",
        num_classes=20,
        loss=dict(type="BinaryCrossEntropy"),
        orthogonal=1e-4,
    ),
    map_source=dict(type="gradcam.GradCAM", target=["a.last", "b.last"]),
    fusion=dict(type="class_grouping.LevelFusion"),
    boxes=dict(type="ThresholdBoxes", threshold=0.15, instances="all"),
)
stages = dict(type="class_grouping.Levels", levels=(20, 12, 8, 5), rest="max", min_score=0.5)

train_dataloader = dict(
    batch_size=20,
    dataset=dict(
        reader=dict(parts={"train-weaksup": "Segmentation/trainaug"}),
        pipeline=_base_._short_side_centre_224,
    ),
)
test_dataloader = dict(dataset=dict(pipeline=_base_._short_side_centre_224))
metrics = [dict(type="SegmentationMetric", threshold=0.15)]

train_cfg = dict(max_epochs=100)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-4))
# Four epochs without improvement are borne; the fifth halves the rate.
param_scheduler = [
    dict(type="ReduceOnPlateauLR", monitor="train/loss", rule="less", factor=0.5, patience=4)
]
