"""Class grouping on PASCAL VOC 2012 with VGG16: as with ResNet50, on its convolutions alone."""

_base_ = ["class_grouping_resnet50_voc2012.py"]

# 14 x 14 cells of 512 channels: as many numbers as ResNet50 has, so the orthogonal loss weighs the
# same. The paper does not say how it gets maps of VGG16: its fully connected layers are left out.
_network = dict(_delete_=True, type="VGG16", output_stride=16, pretrained=True)
model = dict(backbone=dict(networks=dict(a=_network, b=_network)))
