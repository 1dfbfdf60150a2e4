"""The standard benchmark's crops and metadata, for a set that gives its ``data_root``.

Expects the images at the paths that the ids name, and
``metadata/<train-weaksup|train-fullsup|test>/`` below ``data_root``.
"""

# Checked once by `wsoltool prepare`, the same data open in milliseconds, of any layout: with
# data_root = "<folder that it wrote to>" and _set = dict(type="Prepared").
_set = dict(type="Images", reader=dict(type="WsolMetadata", images="."))
_squash = [dict(type="Resize", size=224)]
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(
        **_set,
        split="train-weaksup",
        pipeline=[
            dict(type="Resize", size=256),
            dict(type="RandomCrop", size=224),
            dict(type="RandomFlip"),
        ],
    ),
)
val_dataloader = dict(
    batch_size=64, num_workers=4, dataset=dict(**_set, split="train-fullsup", pipeline=_squash)
)
test_dataloader = dict(
    batch_size=64, num_workers=4, dataset=dict(**_set, split="test", pipeline=_squash)
)
evaluation = dict(protocols=("wsolevaluation", "tight"))
