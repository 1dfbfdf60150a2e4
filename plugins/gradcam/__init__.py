"""Grad-CAM, Grad-CAM++ and Score-CAM: maps from any classifier, at any of its layers.

Selvaraju et al.: Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization, ICCV 2017. https://arxiv.org/abs/1610.02391
Chattopadhay et al.: Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks,
WACV 2018. https://arxiv.org/abs/1710.11063
Wang et al.: Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks,
CVPR Workshops 2020. https://arxiv.org/abs/1910.01279
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_map_sources():
    from wsoltool_plugins.gradcam.gradcam import GradCAM, GradCAMPlusPlus
    from wsoltool_plugins.gradcam.scorecam import ScoreCAM

    return [GradCAM, GradCAMPlusPlus, ScoreCAM]
