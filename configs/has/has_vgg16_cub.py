"""Hide-and-Seek on CUB-200-2011: VGG16-CAM, tiles of 56 pixels hidden in training."""

_base_ = ["../cam/cam_vgg16_cub.py"]

model = dict(batch_augmentations=[dict(type="has.HideAndSeek", grid_size=56, probability=0.5)])
