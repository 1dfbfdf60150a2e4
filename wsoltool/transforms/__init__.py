"""Image transforms on a sample's dict; see :mod:`wsoltool.transforms.geometry` for its keys.

Transforms of mmcv work beside these where they change colours. Its crops and flips do not keep
``region`` and ``flip``, on which the place of every map and box depends: use the ones here.
"""
