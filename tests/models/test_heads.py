"""What heads of several methods share."""

import pytest
import torch

from wsoltool.errors import ConfigError
from wsoltool.models.heads import checked_num_classes, criterion_of, linear_classifier
from wsoltool.models.losses import BinaryCrossEntropy, CrossEntropy


def test_a_linear_classifier_starts_small_and_without_bias():
    torch.manual_seed(0)
    layer = linear_classifier(2000, 50)
    assert layer.weight.shape == (50, 2000)
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not layer.bias.any()


@pytest.mark.parametrize("count", [0, -1, 2.0, True, "5", None])
def test_numbers_of_classes_are_whole(count):
    with pytest.raises(ConfigError, match="num_classes"):
        checked_num_classes(count)
    assert checked_num_classes(1) == 1


def test_the_criterion_is_cross_entropy_unless_said():
    assert isinstance(criterion_of(None), CrossEntropy)
    said = BinaryCrossEntropy()
    assert criterion_of(said) is said
    with pytest.raises(ConfigError, match="expected: a loss"):
        criterion_of({"type": "BinaryCrossEntropy"})
