"""mLDFR on PASCAL VOC 2007: VGG16, detection on test (mAP at IoU 0.5, 0.3 and 0.1; section IV-E).

Five scales, and a box for every region. The paper does not say which loss it takes where images
show several classes; binary cross entropy of each class is usual.
"""

_base_ = ["_base_/vgg16.py", "_base_/voc2007.py"]

model = dict(
    head=dict(num_classes=20, loss=dict(type="BinaryCrossEntropy")),
    fusion=dict(scales=(0.5, 1.0, 1.5, 2.0, 2.5), input_scale=2.5),
    boxes=dict(instances="all"),
)
