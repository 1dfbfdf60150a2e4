"""Two-path attention on ILSVRC with InceptionV3: CAM's config with its head and rate.

The paper has CUB alone; its rates and batches are taken over.
"""

_base_ = ["../cam/cam_inceptionv3_ilsvrc.py"]

train_dataloader = dict(batch_size=128)
model = dict(
    inserts=None,  # the benchmark's Dropouts are not this method's
    head=dict(_delete_=True, type="two_path.TwoPathHead", num_classes=1000),
    fusion=dict(branches="mean", normalize_branches=True),
)
# The paper names no optimizer: SGD hardly moves at this rate, Adam's usual one is near it.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="Adam", lr=1e-4),
    paramwise_cfg=None,
)
