import pytest
from torch import nn

from wsoltool.models.modes import evaluating


def test_every_module_gets_its_own_mode_back():
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.Dropout()))
    net[0].eval()  # frozen
    with evaluating(net):
        assert not any(module.training for module in net.modules())
    assert [net.training, net[0].training, net[1].training] == [True, False, True]
    with pytest.raises(ZeroDivisionError), evaluating(net):
        1 / 0  # noqa: B018
    assert [net.training, net[0].training, net[1].training] == [True, False, True]
