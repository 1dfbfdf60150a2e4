"""ADH: hides the peak of an image's features and what lies around its expected pixels.

Zhang, Bui: Attention-based Dual Hiding Method for Weakly Supervised Object Localization, 2021;
chapter 4 of Zhang's thesis. https://www.concordia.ca (Spectrum, its repository)
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_erasers():
    from wsoltool_plugins.adh.adh import DualHiding

    return [DualHiding]
