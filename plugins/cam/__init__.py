"""Class activation mapping.

Zhou, Khosla, Lapedriza, Oliva, Torralba: Learning Deep Features for Discriminative Localization,
CVPR 2016. https://arxiv.org/abs/1512.04150
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_cam_heads():
    from wsoltool_plugins.cam.cam import CAMHead, ConvHead

    return [CAMHead, ConvHead]
