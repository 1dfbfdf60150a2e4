"""Errors of data-loading workers arrive as they were raised."""

import pytest
import torch
from torch.utils.data import Dataset

from wsoltool.engine.workers import FaithfulDataLoader, WorkerTraceback
from wsoltool.errors import ImageError


class Numbers(Dataset):
    """0 to 9, of which one fails."""

    def __init__(self, bad=None, error=None):
        self.bad, self.error = bad, error

    def __len__(self):
        return 10

    def __getitem__(self, index):
        if index == self.bad:
            raise self.error
        return index


def loader(dataset, workers):
    return FaithfulDataLoader(dataset, collate_fn=torch.tensor, batch_size=2, num_workers=workers)


def image_error():
    return ImageError("cut", at="a.jpg", expected="an image", known=("b", "c"), hint="again")


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_without_errors_the_batches_are_torchs(workers):
    batches = [batch.tolist() for batch in loader(Numbers(), workers)]
    assert batches == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_an_expected_error_keeps_its_type_and_fields(workers):
    seen = []
    with pytest.raises(ImageError) as caught:  # noqa: PT012
        for batch in loader(Numbers(5, image_error()), workers):
            seen.append(batch.tolist())
    assert seen == [[0, 1], [2, 3]]
    assert type(caught.value) is ImageError
    assert str(caught.value) == str(image_error())
    assert caught.value.known == ("b", "c")


def test_the_workers_traceback_is_the_cause():
    with pytest.raises(ImageError) as caught:
        list(loader(Numbers(0, image_error()), 1))
    assert isinstance(caught.value.__cause__, WorkerTraceback)
    assert "in __getitem__" in str(caught.value.__cause__)


def test_other_errors_are_torchs_affair():
    with pytest.raises(RuntimeError, match="a bug"):
        list(loader(Numbers(3, RuntimeError("a bug")), 1))


def test_the_main_processes_data_set_is_untouched():
    dataset = Numbers()
    list(loader(dataset, 1))
    assert not hasattr(dataset, "__getitems__")


def test_a_loader_goes_on_after_an_error():
    dataset = Numbers(0, image_error())
    batches = loader(dataset, 1)
    with pytest.raises(ImageError):
        list(batches)
    dataset.bad = None
    assert len(list(batches)) == 5
