"""The same picture in two splits: equal files always, similar ones where asked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from wsoltool.datasets.index import open_index

NEAR = "near_duplicates.csv"


@pytest.fixture
def copied(birds, photo, encoded):
    """An exact copy in test, of a bird in train; and a smaller one of another."""
    data = birds.path("001.Auk/train_0.jpg").read_bytes()
    birds.add("002.Bee_eater/copy.jpg", "test", 1, data=data)
    large = photo(70, (120, 180))
    birds.add("002.Bee_eater/large.jpg", data=encoded(large, quality=95))
    small = large.resize((90, 60), Image.Resampling.BICUBIC)
    birds.add("002.Bee_eater/small.jpg", "test", 1, data=encoded(small, quality=60))
    return birds


@pytest.mark.parametrize("options", [(), ("--headers-only",)])
def test_equal_files_are_reported_and_stay(copied, prepare, options):
    run = prepare("CUB200", copied.root, *options)
    assert run.code == 0
    assert [row[:4] for row in run.rows()] == [
        [
            "train-weaksup",
            "001.Auk/train_0.jpg",
            "duplicate",
            "the same file as 002.Bee_eater/copy.jpg of test",
        ]
    ]
    assert "1 image of train-weaksup is the same file as an image of test" in run.err
    index = open_index(run.folder)
    assert index.facts("train-weaksup").images == 5
    assert index.remarks == ("1 image of train-weaksup is the same file as an image of test",)


def test_equal_digests_are_no_proof(birds, prepare, photo, encoded):
    """Two files of one length, beginning and end."""
    data = encoded(photo(size=(400, 500)), quality=95, restart_marker_rows=1)
    middle = len(data) // 2
    while data[middle] == 0xFF or data[middle - 1] == 0xFF:
        middle += 1
    other = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    birds.add("001.Auk/a.jpg", data=data)
    birds.add("001.Auk/b.jpg", "test", data=other)
    assert prepare("CUB200", birds.root).rows() == []
    birds.path("001.Auk/b.jpg").write_bytes(data)
    assert len(prepare("CUB200", birds.root).rows()) == 1


def test_near_duplicates(copied, prepare):
    run = prepare("CUB200", copied.root, "--near-duplicates")
    assert run.code == 0
    names = [(row[1], row[3]) for row in run.rows(NEAR)]
    assert names == [
        ("001.Auk/train_0.jpg", "002.Bee_eater/copy.jpg"),
        ("002.Bee_eater/large.jpg", "002.Bee_eater/small.jpg"),
    ]
    assert run.rows(NEAR)[0] == [
        *("train-weaksup", "001.Auk/train_0.jpg", "test", "002.Bee_eater/copy.jpg"),
        *("0", "1.0000"),
    ]
    assert 0.98 < float(run.rows(NEAR)[1][5]) < 1
    assert "2 pairs of near-duplicates" in run.out
    sheet = cv2.imread(str(run.folder / "near_duplicates.png"))
    assert sheet.shape == (2 * 168, 904, 3)
    left, right = sheet[168:268, :160], sheet[168:268, 168:328]
    assert np.abs(left.astype(int) - right).mean() < 8
    assert np.abs(left.astype(int) - sheet[:100, :160]).mean() > 20


def test_nothing_is_decoded_again_to_search(copied, prepare, looked_into):
    prepare("CUB200", copied.root)
    assert len(looked_into) == 11
    prepare("CUB200", copied.root, "--near-duplicates", "5")
    assert len(looked_into) == 11


def test_flat_pictures_are_no_false_alarm(birds, prepare, encoded):
    """Skies: equal fingerprints, though a cloud is elsewhere."""
    for part, place in (("train", 2), ("test", 26)):
        sky = np.full((64, 64, 3), 200, np.uint8)
        sky[place : place + 3, place : place + 3] = 201
        birds.add(f"001.Auk/{part}_sky.png", part, data=encoded(Image.fromarray(sky), "PNG"))
    assert prepare("CUB200", birds.root, "--near-duplicates", "0").rows(NEAR) == []


def test_lists_without_pairs(birds, prepare):
    run = prepare("CUB200", birds.root, "--near-duplicates")
    assert run.rows(NEAR) == []
    assert not (run.folder / "near_duplicates.png").exists()
    assert "0 pairs" in run.out
