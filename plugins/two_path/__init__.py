"""Two-path attention: a second classifier on features whose attention was adjusted.

Park, Ko: Weakly Supervised Learning for Object Localization Based on an Attention Mechanism,
Applied Sciences 11 (22), 10953, 2021. https://doi.org/10.3390/app112210953
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_cam_heads():
    from wsoltool_plugins.two_path.two_path import TwoPathHead

    return [TwoPathHead]
