"""Class grouping: maps of single classes and of ever larger groups, from pairs of networks.

Huang, Meng, Li, Chen, Wu, Ngan: Class Activation Map generation by Multiple Level Class Grouping
and Orthogonal Constraint, 2019. https://arxiv.org/abs/1909.09839
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_cam_heads():
    from wsoltool_plugins.class_grouping.orthogonal import BranchesHead

    return [BranchesHead]


@hookimpl
def wsoltool_map_sources():
    from wsoltool_plugins.class_grouping.rest import WithRest

    return [WithRest]


@hookimpl
def wsoltool_fusions():
    from wsoltool_plugins.class_grouping.fusion import LevelFusion

    return [LevelFusion]


@hookimpl
def wsoltool_datasets():
    from wsoltool_plugins.class_grouping.grouped import GroupedClasses

    return [GroupedClasses]


@hookimpl
def wsoltool_stages():
    from wsoltool_plugins.class_grouping.stages import ClusterClasses, FuseLevels, TrainLevel

    return [ClusterClasses, FuseLevels, TrainLevel]


@hookimpl
def wsoltool_check_config(config):
    from wsoltool_plugins.class_grouping.rest import fusion_problems

    return fusion_problems(config)


@hookimpl
def wsoltool_stage_plans():
    from wsoltool_plugins.class_grouping.levels import Levels

    return [Levels]
