"""CAM on creatures whose coat goes with the class too, in four of five: all of the body tells it.

The demo's creatures differ in the head alone, so that nothing but the head tells the class. Here a
method that looks for all that does can find the object.
"""

_base_ = ["cam_small_creatures.py"]

_coats = dict(dataset=dict(coat_bias=0.8))
train_dataloader = _coats
val_dataloader = _coats
test_dataloader = _coats
