"""How the paper crops and resizes (section IV-B), by name.

In evaluation the short side gets twice the network's own size, the largest scale of MsCAM, and the
fusion's ``input_scale=2`` makes the smaller views of that: all three show the detail that a photo
has. Were it resized to the network's size, the larger views would be blown up from it.
"""

# In training, beside _area_crop_224.
_area_crop_299 = [
    dict(type="RandomResizedCrop", size=299, area=(0.8, 1.0)),
    dict(type="RandomFlip"),
]

# In evaluation. Long sides of whole cells, so that a map is not stretched over pixels that no cell
# has seen; the aspect changes by 3.6 % at most. multiple_of=1 keeps it to a pixel.
_double_224 = [dict(type="ResizeShortSide", size=448, multiple_of=32)]
# InceptionV3 cuts the borders off whatever the size.
_double_299 = [dict(type="ResizeShortSide", size=598)]
# For VOC's five scales, up to 2.5: a multiple of 80 pixels is one of 16 at each of them.
_two_and_a_half_224 = [dict(type="ResizeShortSide", size=560, multiple_of=80)]
