"""How the papers crop and resize, by name, for inputs of 224 x 224.

A data set's config inherits these names, and so does every config that inherits that one:
``train_dataloader = dict(dataset=dict(pipeline=_base_._area_crop_224))``. Where the papers do not
say how they flip, half of the images are mirrored, as is usual.
"""

_flip = dict(type="RandomFlip")

# In training. A random part of the image squashed to 256 x 256: wsolevaluation, FAM.
_random_crop_224 = [dict(type="Resize", size=256), dict(type="RandomCrop", size=224), _flip]
# A random 80 to 100 % of the area, of aspect 3:4 to 4:3: mLDFR, whose "multi-scale training" this
# is. (GoogLeNet and PSOL: area=(0.08, 1.0) and (0.2, 1.0).)
_area_crop_224 = [dict(type="RandomResizedCrop", size=224, area=(0.8, 1.0)), _flip]
# The middle square, mirrored or not.
_short_side_centre_flip_224 = [
    dict(type="ResizeShortSide", size=224),
    dict(type="CenterCrop", size=224),
    _flip,
]

# In evaluation. All of an image, squashed: wsolevaluation, FCAM, TS-CAM.
_squash_224 = [dict(type="Resize", size=224)]
# All of an image, its aspect kept: mLDFR. (multiple_of=32, the network's stride, makes the cells of
# a map cover the image exactly.)
_keep_aspect_224 = [dict(type="ResizeShortSide", size=224)]
# The middle square; what lies beside it is never localized: class grouping.
_short_side_centre_224 = [dict(type="ResizeShortSide", size=224), dict(type="CenterCrop", size=224)]
# The middle of the squashed image, likewise: BAS, PSOL.
_squash_centre_224 = [dict(type="Resize", size=256), dict(type="CenterCrop", size=224)]
