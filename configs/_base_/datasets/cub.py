"""CUB-200-2011, with CUBV2 as train-fullsup, in wsolevaluation's metadata."""

_base_ = ["wsolevaluation.py"]

data_root = "CUB"
