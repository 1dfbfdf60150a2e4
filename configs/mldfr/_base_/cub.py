"""CUB-200-2011, trained and tested as the paper says (section IV-B)."""

_base_ = ["wsolevaluation.py"]

data_root = "CUB"
