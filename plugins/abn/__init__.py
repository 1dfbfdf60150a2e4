"""ABN: the attention branch network, a classifier's own map as attention to its features.

Fukui, Hirakawa, Yamashita, Fujiyoshi: Attention Branch Network: Learning of Attention Mechanism
for Visual Explanation, CVPR 2019. https://arxiv.org/abs/1812.10025
"""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_cam_heads():
    from wsoltool_plugins.abn.abn import AttentionBranchHead

    return [AttentionBranchHead]
