"""Hide-and-Seek: CAM trained with random tiles of the image hidden."""

_base_ = ["../cam/cam_mobilenetv1_tinyimagenet50.py"]

model = dict(batch_augmentations=[dict(type="has.HideAndSeek", grid_size=24, probability=0.5)])
