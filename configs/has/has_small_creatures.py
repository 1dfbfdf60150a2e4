"""Hide-and-Seek: CAM trained with random tiles of the image hidden."""

_base_ = ["../cam/cam_small_creatures.py"]

model = dict(batch_augmentations=[dict(type="has.HideAndSeek", grid_size=16, probability=0.5)])
