"""The revisited CAM: weighted pooling, recombined weights, boxes whose threshold is chosen.

Zhang: Localizing Object Position by Using only Image-level Labels, master's thesis, Concordia
University, March 2021, chapter 5. https://www.concordia.ca (Spectrum, its repository)
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_poolings():
    from wsoltool_plugins.revisited_cam.pooling import WeightedGlobalAveragePool

    return [WeightedGlobalAveragePool]


@hookimpl
def wsoltool_map_sources():
    from wsoltool_plugins.revisited_cam.recombination import RecombinedWeights

    return [RecombinedWeights]


@hookimpl
def wsoltool_box_extractors():
    from wsoltool_plugins.revisited_cam.two_stage import TwoStageBoxes

    return [TwoStageBoxes]
