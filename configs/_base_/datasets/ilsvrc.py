"""ILSVRC 2012 (CLS-LOC), with ImageNetV2 as train-fullsup, in wsolevaluation's metadata."""

_base_ = ["wsolevaluation.py"]

data_root = "ILSVRC"
