"""Counts of one forward pass, against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from wsoltool.models.counting import OUTSIDE, count, count_multiply_adds


class Applied(nn.Module):
    """A function of the input as a network."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, x)


def counted(network, inputs):
    return count(network, inputs, {m: name for name, m in network.named_modules() if name})


# --- multiply-adds


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (1, 3, 6, 5), 6 * 5 * 3 * 3 * 3 * 8),
        (nn.Conv2d(3, 8, 3), (1, 3, 6, 5), 4 * 3 * 3 * 3 * 3 * 8),
        (nn.Conv2d(3, 8, 1, bias=False), (2, 3, 6, 5), 2 * 6 * 5 * 3 * 8),
        (nn.Conv2d(3, 8, (1, 7), padding=(0, 3)), (1, 3, 6, 5), 6 * 5 * 7 * 3 * 8),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1), (1, 4, 8, 8), 4 * 4 * 9 * 4 * 6),
        (nn.Conv2d(4, 6, 3, dilation=2), (1, 4, 8, 8), 4 * 4 * 9 * 4 * 6),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), (1, 4, 8, 8), 8 * 8 * 9 * 2 * 6),
        (nn.Conv2d(4, 4, 3, padding=1, groups=4), (1, 4, 8, 8), 8 * 8 * 9 * 4),
        (nn.Conv2d(4, 8, 3, padding=1, groups=4), (1, 4, 8, 8), 8 * 8 * 9 * 8),
        (nn.Conv1d(4, 6, 3), (1, 4, 8), 6 * 3 * 4 * 6),
        # Every input cell meets the whole kernel.
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 5), 5 * 5 * 9 * 4 * 6),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), (1, 4, 5, 5), 5 * 5 * 4 * 4 * 3),
        (nn.Linear(5, 7), (2, 5), 2 * 5 * 7),
        (nn.Linear(5, 7, bias=False), (5,), 5 * 7),
        (nn.Linear(5, 7), (2, 3, 5), 2 * 3 * 5 * 7),
        (nn.LSTM(5, 6), (3, 2, 5), 3 * 2 * 4 * 6 * (5 + 6)),
        (nn.LSTM(5, 6, num_layers=2), (3, 2, 5), 3 * 2 * 4 * 6 * (5 + 6 + 6 + 6)),
        (nn.GRU(5, 6), (3, 2, 5), 3 * 2 * 3 * 6 * (5 + 6)),
    ],
    ids=str,
)
def test_layers(layer, shape, expected):
    assert count_multiply_adds(layer, torch.zeros(shape)) == expected
    assert counted(nn.Sequential(layer), torch.zeros(shape)).flops == {"0": expected}


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.booleans(),
    st.integers(5, 9),
)
def test_a_convolution_multiplies_as_often_as_ones_are_summed(
    groups, inward, outward, kernel, stride, dilation, transposed, side
):
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(
        groups * inward,
        groups * outward,
        kernel,
        stride=stride,
        dilation=dilation,
        groups=groups,
        bias=False,
    )
    nn.init.ones_(layer.weight)
    ones = torch.ones(1, groups * inward, side, side + 1)
    with torch.no_grad():
        products = int(layer(ones).double().sum())
    assert count_multiply_adds(layer, ones) == products


N, D = 7, 8
ATTENTION = N * N * D * 2


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda _, x: (x @ x.mT).softmax(-1) @ x, ATTENTION),
        (lambda _, x: torch.bmm(torch.bmm(x, x.mT), x), ATTENTION),
        (
            lambda _, x: torch.einsum("bij,bjd->bid", torch.einsum("bid,bjd->bij", x, x), x),
            ATTENTION,
        ),
        (lambda _, x: F.scaled_dot_product_attention(x[None], x[None], x[None]), ATTENTION),
        (lambda _, x: x[0] @ x[0, 0], N * D),
        (lambda _, x: x[0, 0] @ x[0, 0], D),
        (lambda _, x: torch.vdot(x[0, 0], x[0, 0]), D),
        (lambda _, x: x[0, 0] @ x[0].mT, N * D),
        (lambda _, x: torch.addmv(x[0, :, 0], x[0], x[0, 0]), N * D),
        (lambda _, x: torch.addr(x[0], x[0, :, 0], x[0, 0]), N * D),
        (lambda _, x: torch.addmm(x[0], x[0] @ x[0].mT, x[0]), ATTENTION),
        (lambda _, x: torch.addbmm(x[0], x @ x.mT, x), ATTENTION),
        (lambda _, x: torch.baddbmm(x, x @ x.mT, x), ATTENTION),
        (lambda _, x: x * x + x.mean() - x.exp(), 0),
        (lambda _, x: F.interpolate(F.max_pool1d(x, 2), size=9), 0),
    ],
)
@pytest.mark.parametrize("needs_gradient", [False, True])
def test_products(function, expected, needs_gradient):
    x = torch.randn(1, N, D, requires_grad=needs_gradient)
    assert count_multiply_adds(Applied(function), x) == expected
    assert count(Applied(function), x, {}).flops.get(OUTSIDE, 0) == expected


@pytest.mark.parametrize("frozen", [False, True])
def test_attention_counts_on_its_fast_path_too(frozen):
    layer = nn.TransformerEncoderLayer(D, 2, 16, batch_first=True).requires_grad_(not frozen)
    # Queries, keys, values and the output's projection; two linear layers.
    expected = ATTENTION + 4 * N * D * D + 2 * N * D * 16
    before = torch.backends.mha.get_fastpath_enabled()
    assert count_multiply_adds(layer, torch.randn(1, N, D)) == expected
    assert sum(counted(layer, torch.randn(1, N, D)).flops.values()) == expected
    assert torch.backends.mha.get_fastpath_enabled() == before


# --- whose work it is


def test_work_counts_for_the_innermost_module_alone():
    inner = Applied(lambda self, x: self.linear(x) @ x.mT, linear=nn.Linear(4, 4, bias=False))
    outer = Applied(lambda self, x: self.inner(x) @ x, inner=inner)
    network = nn.Sequential(outer)
    counts = counted(network, torch.randn(3, 4))
    assert counts.flops == {"0.inner.linear": 3 * 4 * 4, "0.inner": 3 * 4 * 3, "0": 3 * 3 * 4}
    assert sum(counts.flops.values()) == count_multiply_adds(network, torch.randn(3, 4))


def test_what_has_no_name_counts_for_the_module_around_it():
    network = nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.Linear(5, 6)))
    counts = count(network, torch.zeros(1, 4), {network[1]: "second"})
    assert counts.flops == {OUTSIDE: 20, "second": 30}


def test_a_module_that_runs_twice_counts_twice_and_shows_its_first_shape():
    layer = nn.Conv1d(2, 2, 3, bias=False)
    counts = counted(
        Applied(lambda self, x: self.layer(self.layer(x)), layer=layer), torch.zeros(1, 2, 8)
    )
    assert counts.flops == {"layer": (6 + 4) * 3 * 2 * 2}
    assert counts.shapes[layer] == (1, 2, 6)


def test_what_a_hook_runs_counts_for_what_it_runs():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    added = nn.Linear(4, 4)
    network[0].register_forward_hook(lambda module, inputs, output: added(output) @ torch.eye(4))
    names = {network[0]: "first", network[1]: "second", added: "added"}
    counts = count(network, torch.randn(1, 4), names)
    # The hook's own product is the work of the module that it hangs on.
    assert counts.flops == {"first": 32, "added": 16, "second": 8}
    assert counts.shapes[network[0]] == (1, 4)


def test_views_made_without_autograd_are_no_obstacle():
    def forward(self, x):
        x = self.first(x)
        with torch.no_grad():
            gate = self.second(x[0])
        return x * gate

    network = Applied(forward, first=nn.Linear(4, 4), second=nn.Linear(4, 4))
    assert counted(network, torch.randn(1, 3, 4)).flops == {"first": 48, "second": 48}


# --- what is kept


def test_convolution_activation_and_pooling():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    kept = counted(network, torch.randn(1, 3, 6, 6)).kept_bytes
    # The input; what left the ReLU, which the pooling keeps too; where the maxima were (int64).
    assert kept == {"0": 3 * 36 * 4, "1": 8 * 36 * 4, "2": 8 * 9 * 8}


def test_in_place_work_keeps_no_second_copy():
    def bytes_of(inplace):
        network = nn.Sequential(
            nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(inplace), nn.Conv2d(8, 2, 1)
        )
        return counted(network, torch.randn(1, 3, 6, 6)).kept_bytes

    plain = 3 * 36 * 4, 8 * 36 * 4, 8 * 36 * 4
    # BatchNorm keeps what it is given, the ReLU what it answers, as the last convolution does.
    assert bytes_of(False) == {"0": plain[0], "1": plain[1], "2": plain[2]}
    assert bytes_of(True) == bytes_of(False)


def test_a_storage_counts_once_for_the_first_and_whole():
    def forward(self, x):
        x = self.first(x)
        return self.second(x) + self.third(x[:, :1].expand(-1, 4)) + x.view(1, 4)[:, 1:].exp().sum()

    layers = {name: nn.Linear(4, 4) for name in ("first", "second", "third")}
    network = Applied(forward, **layers)
    kept = counted(nn.Sequential(network), torch.randn(1, 4)).kept_bytes
    assert kept == {
        "0.first": 4 * 4,
        "0.second": 4 * 4,  # the third reads one of its values, and keeps it all
        "0": 3 * 4,  # the exponential keeps its own answer
    }


def test_parameters_and_buffers_do_not_count():
    network = Applied(lambda self, x: x * self.weight * self.table)
    network.weight = nn.Parameter(torch.randn(1000))
    network.register_buffer("table", torch.randn(1000))
    kept = count(network, torch.randn(1000), {}).kept_bytes
    # The input alone: the table learns nothing, so that its factor is not needed.
    assert kept == {OUTSIDE: 4000}


def test_a_frozen_network_keeps_nothing():
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).requires_grad_(False)
    assert counted(network, torch.randn(1, 4)).kept_bytes == {}


def test_layers_below_the_first_trained_one_keep_nothing():
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    network[0].requires_grad_(False)
    assert counted(network, torch.randn(1, 4)).kept_bytes == {"2": 16}


def test_branches_that_the_answer_does_not_need_are_not_kept():
    def forward(self, x):
        self.side(x).relu().exp()
        return self.main(x)

    network = Applied(forward, side=nn.Linear(4, 1000), main=nn.Linear(4, 2))
    counts = counted(network, torch.randn(1, 4))
    assert counts.flops == {"side": 4000, "main": 8}
    assert counts.kept_bytes == {"main": 16}


def test_a_network_may_ask_for_gradients_itself():
    def forward(self, x):
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.layer(x).square().sum(), x)
        return self.layer(slope)

    network = Applied(forward, layer=nn.Linear(4, 4, bias=False))
    # Forward, the gradient of the input, and forward again.
    assert sum(counted(network, torch.randn(1, 4)).flops.values()) == 3 * 16


# --- what it leaves


def test_modes_hooks_and_autograd_are_left_as_they_were():
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.BatchNorm1d(4)).train()
    network[2].eval()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        counts = counted(network, torch.randn(2, 4))
        assert not torch.is_grad_enabled()
    assert counts.kept_bytes
    assert [module.training for module in network] == [True, True, False]
    assert network.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


def test_a_failure_leaves_no_hooks_either():
    def fail(self, x):
        raise ValueError("no")

    network = nn.Sequential(nn.Linear(4, 4), Applied(fail)).train()
    for run in (counted, count_multiply_adds):
        with pytest.raises(ValueError, match="no"):
            run(network, torch.randn(1, 4))
    assert network.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        network[0](torch.randn(1, 4)).sum().backward()


def test_a_module_that_fails_and_is_forgiven_ends_its_work():
    def fail(self, x):
        raise ValueError("no")

    def forward(self, x):
        try:
            self.fails(x)
        except ValueError:
            return x @ x.mT
        raise AssertionError

    network = nn.Sequential(Applied(forward, fails=Applied(fail)))
    assert counted(network, torch.randn(3, 4)).flops == {"0": 36}
