"""The standard benchmark's crops and metadata, for a set that gives its ``data_root``.

Expects the images at the paths that the ids name, and
``metadata/<train-weaksup|train-fullsup|test>/`` below ``data_root``.
"""

_base_ = ["../pipelines.py"]

# Checked once by `wsoltool prepare WsolMetadata ... --option images=.`, the same data open in
# milliseconds: with data_root = "<folder that it wrote to>".
_set = dict(type="Images", reader=dict(type="WsolMetadata", images="."))
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(**_set, split="train-weaksup", pipeline=_base_._random_crop_224),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(**_set, split="train-fullsup", pipeline=_base_._squash_224),
)
test_dataloader = dict(
    batch_size=64, num_workers=4, dataset=dict(**_set, split="test", pipeline=_base_._squash_224)
)
evaluation = dict(protocols=("wsolevaluation", "tight"))
