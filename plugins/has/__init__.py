"""Hide-and-Seek: random tiles of the training images are hidden.

Singh, Lee: Hide-and-Seek: Forcing a Network to be Meticulous for Weakly-supervised Object and
Action Localization, ICCV 2017. https://arxiv.org/abs/1704.04232
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_batch_augmentations():
    from wsoltool_plugins.has.has import HideAndSeek

    return [HideAndSeek]


@hookimpl
def wsoltool_check_config(config):
    from wsoltool_plugins.has.has import grid_problems

    return grid_problems(config)
