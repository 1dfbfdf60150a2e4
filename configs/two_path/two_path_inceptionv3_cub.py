"""Two-path attention on CUB-200-2011 with InceptionV3: CAM's config with its head and rate.

The paper's network and data: section 4.
"""

_base_ = ["../cam/cam_inceptionv3_cub.py"]

train_dataloader = dict(batch_size=128)
model = dict(
    inserts=None,  # the benchmark's Dropouts are not this method's
    head=dict(_delete_=True, type="two_path.TwoPathHead", num_classes=200),
    fusion=dict(branches="mean", normalize_branches=True),
)
# The paper names no optimizer: SGD hardly moves at this rate, Adam's usual one is near it.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="Adam", lr=1e-4),
    paramwise_cfg=None,
)
