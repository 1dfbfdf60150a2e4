"""CUB-200-2011 as its archive unpacks, cropped as the standard benchmark does.

A tenth of the training images, chosen by hashes of their ids, is train-fullsup. Published figures
are trained on all 5,994: with ``fullsup_share=0`` in the readers and no ``val_dataloader``, and
without thresholds from train-fullsup then.
"""

_base_ = ["wsolevaluation.py"]

data_root = "CUB_200_2011"
_cub = dict(_delete_=True, type="CUB200", fullsup_share=0.1)
train_dataloader = dict(dataset=dict(reader=_cub))
val_dataloader = dict(dataset=dict(reader=_cub))
test_dataloader = dict(dataset=dict(reader=_cub))
