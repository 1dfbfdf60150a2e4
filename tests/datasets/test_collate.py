"""Batches, and checks across splits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from wsoltool.datasets.collate import check_classes, check_disjoint, collate
from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.folders import ImageFolders
from wsoltool.errors import DataError
from wsoltool.structures import Sample, Truth


def item(seed, size=(4, 6), label=0):
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    box = np.array([[0, 0, 2, 2]], np.float32)
    return image, Sample(str(seed), label, size, (0, 0, 1, 1), truth=Truth(box, box))


def test_equal_sizes_are_stacked():
    items = [item(seed, label=seed) for seed in range(3)]
    batch = collate(items)
    assert batch["inputs"].dtype == torch.uint8
    assert batch["inputs"].shape == (3, 4, 6, 3)
    for row, (image, sample) in enumerate(items):
        np.testing.assert_array_equal(batch["inputs"][row].numpy(), image)
        assert batch["samples"].items[row] is sample
    assert batch["samples"].labels.tolist() == [0, 1, 2]
    assert batch["samples"].labels.dtype == torch.int64


def test_different_sizes_stay_a_list():
    items = [item(0), item(1, (6, 4))]
    for image, _ in items:
        image.flags.writeable = False
    inputs = collate(items)["inputs"]
    assert [tuple(x.shape) for x in inputs] == [(4, 6, 3), (6, 4, 3)]
    for tensor, (image, _) in zip(inputs, items, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), image)
        assert not np.shares_memory(tensor.numpy(), image)


def test_multi_hot_labels():
    labels = np.eye(3, dtype=np.float32)[:2]
    batch = collate([item(i, label=labels[i]) for i in range(2)])
    torch.testing.assert_close(batch["samples"].labels, torch.from_numpy(labels))


def test_batches_come_from_workers(tmp_path, write_image):
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        write_image(tmp_path / name, seed=int(name[2]))
    dataset = Images("train-weaksup", str(tmp_path), ImageFolders())
    loader = DataLoader(dataset, batch_size=2, num_workers=1, collate_fn=collate)
    batches = list(loader)
    assert [s.image_id for b in batches for s in b["samples"]] == ["a/1.png", "a/2.png", "b/3.png"]
    np.testing.assert_array_equal(batches[1]["inputs"][0].numpy(), dataset[2][0])


def split(name, ids=(), classes=(), index=None):
    found = {"image_ids": list(ids), "classes": tuple(classes), "index_digest": index}
    return SimpleNamespace(split=name, **found)


def test_splits_that_share_images_are_refused():
    train, full = split("train-weaksup", "abc"), split("train-fullsup", "de")
    check_disjoint([train, full, split("test", "fg")])
    with pytest.raises(DataError, match="2 images are in both train-fullsup and test: d, e"):
        check_disjoint([train, full, split("test", "gedf")])


def test_the_same_split_twice_is_no_leak():
    check_disjoint([split("test", "ab"), split("test", "ab")])


def test_splits_of_one_index_were_checked_when_it_was_written():
    check_disjoint([split("train-weaksup", "ab", index="1"), split("test", "bc", index="1")])
    with pytest.raises(DataError, match="1 images are in both train-weaksup and test: b"):
        check_disjoint([split("train-weaksup", "ab", index="1"), split("test", "bc", index="2")])


def test_classes_must_be_the_same():
    first = split("train-weaksup", classes=("cat", "dog"))
    check_classes([first, split("test", classes=["cat", "dog"])])
    check_classes([])
    with pytest.raises(DataError, match=r"label 1 is 'dog' in train-weaksup .* and 'emu' in test"):
        check_classes([first, split("test", classes=("cat", "emu"))])
    with pytest.raises(DataError, match=r"label 1 is 'dog' .* no class in test \(1 classes\)"):
        check_classes([first, split("test", classes=("cat",))])
