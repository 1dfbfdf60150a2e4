"""Normalisation by value, memory format, lists of images, refusals."""

import pytest
import torch

from wsoltool.errors import ConfigError, DataError
from wsoltool.models.contracts import BatchAugmentation
from wsoltool.models.preprocessor import Preprocessor
from wsoltool.structures import Samples

MEAN, STD = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)


class Negate(BatchAugmentation):
    """Changes pixels and labels, so that both are seen to be used."""

    def __call__(self, images, samples):
        return -images, samples.with_labels(samples.labels + 10)


def batch(*sizes, labels=None):
    torch.manual_seed(0)
    images = [torch.randint(256, (*size, 3), dtype=torch.uint8) for size in sizes]
    alike = len(set(sizes)) == 1
    labels = torch.arange(len(sizes)) if labels is None else labels
    return {"inputs": torch.stack(images) if alike else images, "samples": Samples(labels)}


def reference(image):
    """``(H, W, 3)`` to ``(3, H, W)``: (x - mean) / std in float64."""
    normalized = (image.double() - torch.tensor(MEAN).double()) / torch.tensor(STD).double()
    return normalized.permute(2, 0, 1)


def test_one_pixel_by_hand():
    pixel = torch.tensor([[[[12, 12, 30]]]], dtype=torch.uint8)
    images = Preprocessor(MEAN, STD).normalize(pixel)
    assert images.flatten().tolist() == [1.0, -2.0, 0.0]


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_equals_subtracting_the_mean_and_dividing_by_the_deviation(channels_last, training):
    data = batch((5, 7), (5, 7))
    answer = Preprocessor(MEAN, STD, channels_last=channels_last)(data, training)
    expected = torch.stack([reference(image) for image in data["inputs"]])
    assert answer["inputs"].dtype == torch.float32
    torch.testing.assert_close(answer["inputs"].double(), expected, rtol=1e-6, atol=2e-5)
    assert answer["samples"].labels.tolist() == [0, 1]


def test_memory_format_changes_no_value():
    data = batch((6, 4), (6, 4), (6, 4))
    last = Preprocessor(MEAN, STD, channels_last=True)(data)["inputs"]
    first = Preprocessor(MEAN, STD, channels_last=False)(data)["inputs"]
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert not last.is_contiguous()
    assert first.is_contiguous()
    assert torch.equal(last, first)


def test_images_of_different_sizes_are_answered_one_by_one_at_test():
    data = batch((5, 7), (3, 4), (5, 7))
    answer = Preprocessor(MEAN, STD)(data, False)["inputs"]
    assert [tuple(image.shape) for image in answer] == [(1, 3, 5, 7), (1, 3, 3, 4), (1, 3, 5, 7)]
    for image, given in zip(answer, data["inputs"], strict=True):
        torch.testing.assert_close(image[0].double(), reference(given), rtol=1e-6, atol=2e-5)


def test_training_images_of_different_sizes_are_refused():
    with pytest.raises(DataError, match=r"\[\(3, 4\), \(5, 7\)\]") as caught:
        Preprocessor(MEAN, STD)(batch((5, 7), (3, 4)), True)
    assert "train_dataloader.dataset.pipeline" in str(caught.value)


def test_augmentations_act_in_training_alone_and_in_order():
    data = batch((2, 2), (2, 2))
    preprocessor = Preprocessor(MEAN, STD, batch_augmentations=[Negate(), Negate()])
    plain = Preprocessor(MEAN, STD)(data)
    tested, trained = preprocessor(data, False), preprocessor(data, True)
    assert torch.equal(tested["inputs"], plain["inputs"])
    assert tested["samples"].labels.tolist() == [0, 1]
    assert torch.equal(trained["inputs"], plain["inputs"])  # negated twice
    assert trained["samples"].labels.tolist() == [20, 21]
    once = Preprocessor(MEAN, STD, batch_augmentations=[Negate()])(data, True)
    assert torch.equal(once["inputs"], -plain["inputs"])


def test_the_batch_is_not_changed():
    data = batch((2, 3), (2, 3))
    before = data["inputs"].clone()
    Preprocessor(MEAN, STD, batch_augmentations=[Negate()])(data, True)
    assert torch.equal(data["inputs"], before)
    assert data["samples"].labels.tolist() == [0, 1]


def test_float_images_are_not_changed_either():
    images = torch.full((1, 2, 2, 3), 12.0)
    Preprocessor(MEAN, STD).normalize(images)
    assert torch.equal(images, torch.full((1, 2, 2, 3), 12.0))


def test_nothing_of_it_is_saved():
    assert Preprocessor(MEAN, STD).state_dict() == {}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mean": (1.0, 2.0)}, "mean"),
        ({"mean": "abc"}, "mean"),
        ({"mean": 3.0}, "mean"),
        ({"mean": (float("nan"), 0, 0)}, "mean"),
        ({"std": (1.0, 0.0, 1.0)}, "std"),
        ({"std": (1.0, -1.0, 1.0)}, "std"),
        ({"std": (1.0, 1.0, 1.0, 1.0)}, "std"),
    ],
)
def test_values_that_cannot_be_used_are_refused(settings, named):
    with pytest.raises(ConfigError, match=f"Preprocessor: {named} is"):
        Preprocessor(**{"mean": MEAN, "std": STD, **settings})
