import math

import pytest
import torch

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.losses import BinaryCrossEntropy, CrossEntropy
from wsoltool.structures import Samples
from wsoltool.testing import check_loss

LOGITS = torch.tensor([[0.0, math.log(3.0)], [math.log(4.0), 0.0]])  # softmax 1/4 3/4, 4/5 1/5


def test_contracts():
    check_loss(CrossEntropy())
    check_loss(CrossEntropy(label_smoothing=0.1))
    check_loss(BinaryCrossEntropy(), labels=("index", "soft", "multi_hot"))


def test_cross_entropy_by_hand():
    value = CrossEntropy()(LOGITS, Samples(torch.tensor([1, 1])))
    assert value.item() == pytest.approx(-(math.log(3 / 4) + math.log(1 / 5)) / 2)


def test_cross_entropy_of_soft_labels_by_hand():
    value = CrossEntropy()(LOGITS, Samples(torch.tensor([[0.3, 0.7], [1.0, 0.0]])))
    expected = -(0.3 * math.log(1 / 4) + 0.7 * math.log(3 / 4) + math.log(4 / 5)) / 2
    assert value.item() == pytest.approx(expected)


def test_label_smoothing_by_hand():
    # 0.2 spread over two classes: targets 0.9 and 0.1.
    value = CrossEntropy(label_smoothing=0.2)(LOGITS[:1], Samples(torch.tensor([1])))
    assert value.item() == pytest.approx(-(0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4)))


def test_one_hot_labels_equal_indices():
    samples = Samples(torch.tensor([1, 0]))
    one_hot = samples.with_labels(samples.targets(2))
    for loss in (CrossEntropy(), CrossEntropy(0.1), BinaryCrossEntropy()):
        torch.testing.assert_close(loss(LOGITS, samples), loss(LOGITS, one_hot))


def test_several_classes_share_an_image():
    loss = CrossEntropy(multi_label="share")
    check_loss(loss, labels=("index", "soft", "multi_hot"))
    labels = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    expected = -(math.log(1 / 4) / 2 + math.log(3 / 4) / 2 + math.log(4 / 5)) / 2
    assert loss(LOGITS, Samples(labels)).item() == pytest.approx(expected)
    # Labels that sum to 1 are taken as without sharing.
    soft = Samples(torch.tensor([[0.3, 0.7], [1.0, 0.0]]))
    torch.testing.assert_close(loss(LOGITS, soft), CrossEntropy()(LOGITS, soft))
    torch.testing.assert_close(
        loss(LOGITS, Samples(0.5 * soft.labels)), CrossEntropy()(LOGITS, soft)
    )


def test_images_without_a_class_contribute_nothing():
    for smoothing in (0.0, 0.2):
        loss = CrossEntropy(smoothing, multi_label="share")
        logits = LOGITS.clone().requires_grad_()
        value = loss(logits, Samples(torch.tensor([[0.0, 1.0], [0.0, 0.0]])))
        alone = CrossEntropy(smoothing)(LOGITS[:1], Samples(torch.tensor([1])))
        torch.testing.assert_close(value, alone)
        value.backward()
        assert logits.grad[0].abs().sum() > 0
        assert logits.grad[1].tolist() == [0, 0]
        nothing = loss(logits, Samples(torch.zeros(2, 2)))
        assert nothing.item() == 0
        nothing.backward()
        assert logits.grad.isfinite().all()


def test_sharing_is_asked_for_by_name():
    with pytest.raises(ConfigError, match="multi_label='both'"):
        CrossEntropy(multi_label="both")
    with pytest.raises(ConfigError, match="do not sum to 1") as caught:
        CrossEntropy()(LOGITS, Samples(torch.ones(2, 2)))
    assert "multi_label='share'" in caught.value.hint


def test_binary_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, math.log(3.0)]])  # sigmoid 1/2, 3/4
    value = BinaryCrossEntropy()(logits, Samples(torch.tensor([[1.0, 0.0]])))
    assert value.item() == pytest.approx(-(math.log(1 / 2) + math.log(1 / 4)) / 2)


def test_probabilities_are_those_the_loss_trains():
    torch.testing.assert_close(
        CrossEntropy().probabilities(LOGITS), torch.tensor([[0.25, 0.75], [0.8, 0.2]])
    )
    torch.testing.assert_close(
        BinaryCrossEntropy().probabilities(LOGITS), torch.tensor([[0.5, 0.75], [0.8, 0.5]])
    )


def test_gradients_pass():
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    hard = Samples(torch.tensor([0, 3, 1]))
    soft = Samples(torch.rand(3, 4).softmax(dim=1))
    for samples in (hard, soft):
        for loss in (CrossEntropy(0.1), BinaryCrossEntropy()):
            check = lambda z, loss=loss, s=samples: loss(z, s)  # noqa: E731
            assert torch.autograd.gradcheck(check, logits)


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_bad_label_smoothing_is_an_error(value):
    with pytest.raises(ConfigError, match="label_smoothing"):
        CrossEntropy(value)


def test_multi_hot_labels_need_binary_cross_entropy():
    with pytest.raises(ConfigError, match="do not sum to 1") as caught:
        CrossEntropy()(LOGITS, Samples(torch.tensor([[1.0, 1.0], [0.0, 1.0]])))
    assert "BinaryCrossEntropy" in str(caught.value)


@pytest.mark.parametrize("loss", [CrossEntropy(), BinaryCrossEntropy()])
def test_labels_that_do_not_fit_are_errors(loss):
    with pytest.raises(ShapeError, match="disagree"):
        loss(LOGITS, Samples(torch.tensor([[1.0, 0.0, 0.0]] * 2)))
    with pytest.raises(ShapeError, match="disagree"):
        loss(LOGITS, Samples(torch.tensor([1])))
