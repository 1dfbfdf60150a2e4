"""mLDFR: low-discriminative features reactivated by recalibration, at several scales.

Wang, Yuan, Li, Ding, Li, Wu, Hu: Multi-Scale Low-Discriminative Feature Reactivation for Weakly
Supervised Object Localization, 2021. https://github.com/wangbo2016/wsol-mLDFR-2020
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_recalibrations():
    from wsoltool_plugins.mldfr.mldfr import SelfAttention

    return [SelfAttention]
