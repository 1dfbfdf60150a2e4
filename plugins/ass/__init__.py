"""ASS: hides the peak of an image's features only where it should be hidden.

Zhang, Bui: Attention-based Selection Strategy for Weakly Supervised Object Localization, ICPR 2020;
chapter 3 of Zhang's thesis. https://www.concordia.ca (Spectrum, its repository)
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_erasers():
    from wsoltool_plugins.ass.ass import SelectionStrategy

    return [SelectionStrategy]
