"""Pixels and places: resizing, cropping and mirroring."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import RandomGrayscale
from PIL import Image
from torchvision.transforms import v2

from wsoltool.datasets.base import LocalizationDataset
from wsoltool.errors import ConfigError, DataError
from wsoltool.transforms.crop import CenterCrop, RandomCrop, RandomResizedCrop
from wsoltool.transforms.flip import RandomFlip
from wsoltool.transforms.geometry import cropped_region
from wsoltool.transforms.resize import Interpolation, Resize, ResizeShortSide


def start(height, width, image=None):
    if image is None:
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return {
        "img": image,
        "img_shape": (height, width),
        "ori_shape": (height, width),
        "region": (0.0, 0.0, float(width), float(height)),
        "flip": False,
    }


def coordinates(height, width):
    """An image whose channels are the pixel centres' x and y."""
    image = np.zeros((height, width, 3))
    image[..., 0] = np.arange(width) + 0.5
    image[..., 1] = np.arange(height)[:, None] + 0.5
    return image


def test_resize_keeps_the_region():
    results = Resize((8, 12))(start(20, 30))
    assert results["img"].shape == (8, 12, 3)
    assert results["img"].dtype == np.uint8
    assert results["img_shape"] == (8, 12)
    assert results["region"] == (0, 0, 30, 20)


@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (25, 25), (3, 1000), (375, 500)])
def test_short_side_has_torchvisions_size(shape):
    results = ResizeShortSide(16)(start(*shape))
    expected = v2.Resize(16)(torch.zeros(3, *shape, dtype=torch.uint8)).shape[1:]
    assert results["img_shape"] == tuple(expected)


@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    short=st.integers(1, 300),
    multiple=st.integers(1, 40),
)
def test_short_side_to_the_nearest_multiples(height, width, short, multiple):
    transform = ResizeShortSide(short, "area", multiple_of=multiple)
    scale = short / min(height, width)
    for side in (height, width):
        length = transform._length(side, min(height, width))
        if multiple == 1:
            assert length == int(short * side / min(height, width) + 1e-9)
        else:
            assert length % multiple == 0
            assert length == multiple or abs(length - scale * side) <= multiple / 2 + 1e-6


def test_short_side_to_multiples_by_hand():
    results = ResizeShortSide(100, multiple_of=16)(start(60, 90))
    assert results["img"].shape == (96, 144, 3)  # 100 and 150: the nearest are 96 and 144
    assert results["region"] == (0.0, 0.0, 90.0, 60.0)
    with pytest.raises(ConfigError, match="multiple_of is 0"):
        ResizeShortSide(100, multiple_of=0)


@pytest.mark.parametrize("size", [(16, 16), (31, 17), (100, 90)])
@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
def test_antialiased_filters_are_pillows(name, size):
    image = start(60, 50)["img"]
    filters = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
    expected = Image.fromarray(image).resize(size[::-1], filters[name])
    difference = Interpolation(name)(image, size).astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1
    assert np.abs(difference).mean() < 0.02


def test_area_is_the_mean_of_the_covered_pixels():
    image = start(8, 12)["img"]
    expected = image.reshape(4, 2, 4, 3, 3).mean(axis=(1, 3))
    for antialias in (True, False):
        result = Interpolation("area", antialias)(image, (4, 4))
        assert np.abs(result - expected).max() <= 0.5 + 1e-6


def test_without_antialias_pixels_are_skipped():
    image = np.zeros((8, 8, 3), np.uint8)
    image[::4] = 255  # rows 0 and 4; halving twice looks at rows 1, 2 and 5, 6 alone
    assert Interpolation("bilinear", antialias=False)(image, (2, 8)).max() == 0
    assert Interpolation("bilinear", antialias=True)(image, (2, 8)).min() > 40


def test_center_crop_is_torchvisions():
    for shape in ((20, 31), (21, 30), (23, 33)):
        results = start(*shape)
        expected = v2.CenterCrop((10, 20))(torch.from_numpy(results["img"]).permute(2, 0, 1))
        cropped = CenterCrop((10, 20))(results)
        np.testing.assert_array_equal(cropped["img"], expected.permute(1, 2, 0).numpy())


def test_random_crop_reaches_every_place():
    np.random.seed(0)
    regions = {RandomCrop(2)(start(3, 4))["region"] for _ in range(200)}
    assert regions == {(x, y, x + 2, y + 2) for x in (0, 1, 2) for y in (0, 1)}


@pytest.mark.parametrize("transform", [CenterCrop(24), RandomCrop((10, 31))])
def test_crops_larger_than_the_image_are_refused(transform):
    with pytest.raises(DataError, match="does not fit") as caught:
        transform(start(20, 30))
    assert type(transform).__name__ in caught.value.what
    assert "ResizeShortSide" in caught.value.hint


def test_random_resized_crop_keeps_its_bounds():
    np.random.seed(0)
    transform = RandomResizedCrop(8, area=(0.3, 0.6), ratio=(0.5, 2.0))
    shares, ratios = [], []
    for _ in range(2000):
        top, left, (height, width) = transform.draw((300, 400))
        assert 0 <= top <= 300 - height
        assert 0 <= left <= 400 - width
        shares.append(height * width / (300 * 400))
        ratios.append(width / height)
    assert 0.29 < min(shares) < 0.32
    assert 0.58 < max(shares) < 0.61
    assert 0.49 < min(ratios) < 0.55
    assert 1.8 < max(ratios) < 2.02


def test_parts_that_never_fit_become_the_largest_centred_one():
    transform = RandomResizedCrop(8, area=(1.0, 1.0), ratio=(1.0, 1.0))
    assert transform.draw((10, 40)) == (0, 15, (10, 10))
    assert transform.draw((40, 11)) == (14, 0, (11, 11))
    assert RandomResizedCrop(8, area=(1.0, 1.0), ratio=(9, 10)).draw((10, 10)) == (4, 0, (1, 10))


def test_flip():
    results = RandomFlip(prob=1)(start(4, 6))
    assert results["flip"] is True
    np.testing.assert_array_equal(results["img"], start(4, 6)["img"][:, ::-1])
    assert results["region"] == (0, 0, 6, 4)
    again = RandomFlip(prob=1.0)(results)
    assert again["flip"] is False
    np.testing.assert_array_equal(again["img"], start(4, 6)["img"])
    assert RandomFlip(prob=0)(start(4, 6))["flip"] is False


def test_flips_are_as_frequent_as_asked():
    np.random.seed(0)
    flips = sum(RandomFlip(0.25)(start(2, 2))["flip"] for _ in range(2000))
    assert abs(flips - 500) < 4 * math.sqrt(2000 * 0.25 * 0.75)


def test_the_seed_decides():
    def draw():
        np.random.seed(7)
        results = start(40, 50)
        for transform in (RandomResizedCrop(24), RandomFlip(), RandomCrop(16)):
            results = transform(results)
        return results

    first, second = draw(), draw()
    assert first["region"] == second["region"]
    np.testing.assert_array_equal(first["img"], second["img"])


STEPS = st.lists(
    st.sampled_from(["resize", "short", "crop", "center", "resized crop", "flip"]), max_size=6
)


def build(step, shape):
    half = tuple(max(1, side // 2) for side in shape)
    return {
        "resize": Resize((37, 53), antialias=False),
        "short": ResizeShortSide(41, antialias=False),
        "crop": RandomCrop(half),
        "center": CenterCrop(half),
        "resized crop": RandomResizedCrop(29, area=(0.3, 1.0), antialias=False),
        "flip": RandomFlip(1.0),
    }[step]


@settings(deadline=None)
@given(height=st.integers(20, 90), width=st.integers(20, 90), steps=STEPS, seed=st.integers(0, 999))
def test_region_and_flip_say_where_every_pixel_came_from(height, width, steps, seed):
    np.random.seed(seed)
    results = start(height, width, coordinates(height, width))
    for step in steps:
        results = build(step, results["img"].shape[:2])(results)
    x0, y0, x1, y1 = results["region"]
    assert 0 <= x0 < x1 <= width + 1e-9
    assert 0 <= y0 < y1 <= height + 1e-9
    rows, columns = results["img"].shape[:2]
    assert results["img_shape"] == (rows, columns)
    centre_x, centre_y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    if results["flip"]:
        centre_x = 1 - centre_x
    expected_x, expected_y = x0 + centre_x * (x1 - x0), y0 + centre_y * (y1 - y0)
    # Interpolation is exact on a linear ramp; border pixels alone repeat the edge.
    margin_x, margin_y = columns // 4, rows // 4
    image = results["img"][margin_y : rows - margin_y, margin_x : columns - margin_x]
    inner_x = expected_x[margin_x : columns - margin_x]
    inner_y = expected_y[margin_y : rows - margin_y]
    tolerance = 1e-3 if resampled_once(steps) else 0.8
    np.testing.assert_allclose(image[..., 0], np.tile(inner_x, (len(image), 1)), atol=tolerance)
    np.testing.assert_allclose(
        image[..., 1], np.tile(inner_y[:, None], (1, image.shape[1])), atol=tolerance
    )


def resampled_once(steps):
    """Whether no border pixel of one resizing can reach the inside of another."""
    return sum(step in ("resize", "short", "resized crop") for step in steps) <= 1 and (
        "crop" not in steps and "center" not in steps
    )


def follow(box, step, before, after):
    """Where a box of the image before a step lies in the image after it, by hand."""
    x0, y0, x1, y1 = box
    if step == "flip":
        return np.array([before[1] - x1, y0, before[1] - x0, y1])
    if step == "center":
        top, left = (round((b - a) / 2) for b, a in zip(before, after, strict=True))
        return box - [left, top, left, top]
    return box * ([after[1] / before[1], after[0] / before[0]] * 2)


@settings(deadline=None)
@given(
    box=st.tuples(*[st.floats(0, 50)] * 4),
    steps=st.lists(st.sampled_from(["resize", "short", "center", "flip"]), max_size=8),
)
def test_boxes_go_to_the_input_and_back_through_region_and_flip(box, steps):
    results, followed = start(50, 70), np.array(box)
    for step in steps:
        before = results["img"].shape[:2]
        results = build(step, before)(results)
        followed = follow(followed, step, before, results["img"].shape[:2])
    height, width = results["img"].shape[:2]
    x0, y0, x1, y1 = results["region"]
    if results["flip"]:
        followed = follow(followed, "flip", (height, width), None)
    scale = np.array([(x1 - x0) / width, (y1 - y0) / height] * 2)
    np.testing.assert_allclose(followed * scale + [x0, y0, x0, y0], box, atol=1e-6)


def test_cropped_region_by_hand():
    region = (10.0, 20.0, 50.0, 40.0)  # 40 x 20, shown as 80 x 20 pixels
    assert cropped_region(region, False, (20, 80), 5, 8, (10, 16)) == (14, 25, 22, 35)
    assert cropped_region(region, True, (20, 80), 5, 8, (10, 16)) == (38, 25, 46, 35)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Resize(0),
        lambda: Resize((3, 4, 5)),
        lambda: Resize((3.0, 4)),
        lambda: Resize(224.0),
        lambda: Resize("224"),
        lambda: Resize(None),
        lambda: Resize(True),
        lambda: Resize(8, interpolation="linear"),
        lambda: ResizeShortSide((3, 4)),
        lambda: ResizeShortSide(-1),
        lambda: CenterCrop(-3),
        lambda: RandomCrop((3,)),
        lambda: RandomResizedCrop(8, area=(0.0, 1.0)),
        lambda: RandomResizedCrop(8, area=(0.5, 1.5)),
        lambda: RandomResizedCrop(8, area=(0.9, 0.5)),
        lambda: RandomResizedCrop(8, area=(0.5,)),
        lambda: RandomResizedCrop(8, ratio=(1.0, math.inf)),
        lambda: RandomResizedCrop(8, ratio=(math.nan, 1.0)),
        lambda: RandomFlip(1.5),
        lambda: RandomFlip(math.nan),
    ],
)
def test_bad_options_are_refused_at_once(make):
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.expected or caught.value.known


class OneImage(LocalizationDataset):
    """A single random image."""

    classes, image_ids = ("thing",), ("one",)

    def load(self, index):
        return start(40, 60)["img"]

    def label(self, index):
        return 0

    def read_truth(self, index):
        raise NotImplementedError


def test_pipelines_of_a_data_set_may_hold_mmcvs_colour_transforms():
    pipeline = [ResizeShortSide(32), RandomGrayscale(1.0, keep_channels=True), CenterCrop(32)]
    image, sample = OneImage("train-weaksup", pipeline)[0]
    assert image.shape == (32, 32, 3)
    assert image.flags.c_contiguous
    assert (image == image[..., :1]).all()
    assert sample.region == (10.0, 0.0, 50.0, 40.0)
    assert sample.size == (40, 60)


def test_errors_of_a_pipeline_name_the_image():
    with pytest.raises(DataError) as caught:
        OneImage("train-weaksup", [CenterCrop(64)])[0]
    assert caught.value.at == "one"
