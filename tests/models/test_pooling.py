"""The core's poolings, alone and in the ``pooling`` slot of a head."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config

from wsoltool.errors import ConfigError, ConfigProblems, UnknownComponentError
from wsoltool.models.pooling import GlobalAveragePool, GlobalMaxPool
from wsoltool.preflight import check
from wsoltool.testing import check_pooling
from wsoltool_plugins.cam.cam import CAMHead

FEATURES = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[-4.0, -2.0], [-1.0, -1.0]]]])


def with_pooling(pooling):
    return {"type": "cam.CAMHead", "num_classes": 3, "pooling": pooling}


def config_of(head) -> Config:
    backbone = {"type": "SmallNet", "channels": (4, 6, 8)}
    return Config({"model": {"backbone": backbone, "head": head}})


@pytest.mark.parametrize("pooling", [GlobalAveragePool, GlobalMaxPool])
def test_contract(pooling) -> None:
    check_pooling(pooling(), 3)


def test_by_hand() -> None:
    assert GlobalAveragePool()(FEATURES).tolist() == [[3.0, -2.0]]
    assert GlobalMaxPool()(FEATURES).tolist() == [[6.0, -1.0]]


def test_gradients_by_hand() -> None:
    x = FEATURES.clone().requires_grad_()
    (slope,) = torch.autograd.grad(GlobalAveragePool()(x).sum(), x)
    assert torch.equal(slope, torch.full_like(x, 0.25))
    (slope,) = torch.autograd.grad(GlobalMaxPool()(x).sum(), x)
    # Two positions share the second channel's maximum.
    assert slope.tolist() == [[[[0, 0], [0, 1]], [[0, 0], [0.5, 0.5]]]]


@pytest.mark.parametrize(
    ("name", "pooled"),
    [
        ("GlobalAveragePool", lambda x: x.mean(dim=(2, 3))),
        ("GlobalMaxPool", lambda x: x.amax((2, 3))),
    ],
)
def test_a_heads_pooling_is_a_component_of_the_config(small, name, pooled) -> None:
    head = small(head=with_pooling({"type": name})).head
    assert type(head.pooling).__name__ == name
    features = torch.rand(2, 8, 4, 4)
    logits = head.logits({"last": features})
    torch.testing.assert_close(logits, head.classifier(pooled(features)))


def test_the_mean_is_the_default(small) -> None:
    assert isinstance(small().head.pooling, GlobalAveragePool)
    assert isinstance(small(head=with_pooling(None)).head.pooling, GlobalAveragePool)


def test_an_unknown_pooling_is_told_with_the_near_one(small) -> None:
    with pytest.raises(UnknownComponentError) as caught:
        small(head=with_pooling({"type": "GlobalMaxPol"}))
    assert caught.value.at == "model.head.pooling.type"
    assert "did you mean 'GlobalMaxPool'?" in str(caught.value)


def test_the_preflight_finds_poolings() -> None:
    check(config_of(with_pooling({"type": "GlobalMaxPool"})))
    for pooling, at in (
        ({"type": "GlobalMaxPol"}, "model.head.pooling.type"),
        ({"type": "CrossEntropy"}, "model.head.pooling.type"),
        ({"type": "GlobalMaxPool", "size": 3}, "model.head.pooling.size"),
        ("GlobalMaxPool", "model.head.pooling"),
    ):
        with pytest.raises(ConfigProblems) as caught:
            check(config_of(with_pooling(pooling)))
        assert [problem.at for problem in caught.value.problems] == [at]


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(ConfigError, match="pooling='max'") as caught:
        CAMHead({"last": 4}, 3, pooling="max")
    assert caught.value.expected == "dict(type='GlobalAveragePool')"
