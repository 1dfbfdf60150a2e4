"""Your own photos in folders named by class: ``<data_root>/<class>/*.jpg``; no boxes needed."""

_base_ = ["../pipelines.py"]

data_root = "photos"
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        type="Images",
        reader=dict(type="ImageFolders"),
        split="train-weaksup",
        pipeline=[
            dict(type="RandomResizedCrop", size=224, area=(0.6, 1.0)),
            dict(type="RandomFlip"),
        ],
    ),
)
# Its pipeline is what `wsoltool localize` shows the network; scoring would need boxes.
test_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        type="Images", reader=dict(type="ImageFolders"), split="test", pipeline=_base_._squash_224
    ),
)
