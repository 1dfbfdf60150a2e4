"""FAM: foreground activation maps, by attention to the object and to its parts.

Meng, Zhang, Tian, Zhang, Wu: Foreground Activation Maps for Weakly Supervised Object Localization,
ICCV 2021. https://openaccess.thecvf.com/ICCV2021
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_cam_heads():
    from wsoltool_plugins.fam.fam import FAMHead

    return [FAMHead]
