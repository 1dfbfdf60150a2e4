"""Through any pipeline: pixels and boxes lie where region, flip and size say; maps come back."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wsoltool.datasets.base import run_pipeline
from wsoltool.functional.frames import boxes_to_input, boxes_to_original, points_to_original
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.fusion import SingleView
from wsoltool.models.prediction import Prediction
from wsoltool.structures import Sample, View, ViewMaps
from wsoltool.transforms.crop import CenterCrop, RandomCrop, RandomResizedCrop
from wsoltool.transforms.flip import RandomFlip
from wsoltool.transforms.resize import Resize, ResizeShortSide

SIDES = st.integers(24, 120)


class Within:
    """A crop to shares of whatever the image's sides are."""

    def __init__(self, crop, down, across):
        self.crop, self.shares = crop, (down, across)

    def __call__(self, results):
        height, width = results["img"].shape[:2]
        down, across = self.shares
        size = (max(1, int(height * down)), max(1, int(width * across)))
        return self.crop(size)(results)


class Watched:
    """A transform, and how coarse it makes the image at its coarsest.

    Resampling repeats border pixels, so that a place is shown up to one pixel off; ``blur`` adds
    up that pixel, in pixels of the original image, over all resizings.
    """

    def __init__(self, transform):
        self.transform, self.blur = transform, 0.0

    def __call__(self, results):
        resizes = not isinstance(self.transform, Within | RandomFlip)
        before = coarseness(results)
        results = self.transform(results)
        if resizes:
            # The part of the image that a crop inside has left keeps the coarseness.
            self.blur = max(before, coarseness(results))
        return results


def coarseness(results):
    """Original pixels for each pixel, the larger way."""
    (height, width), (x0, y0, x1, y1) = results["img"].shape[:2], results["region"]
    return max((x1 - x0) / width, (y1 - y0) / height)


shares = st.floats(0.4, 1.0)
crops = st.builds(Within, st.sampled_from([RandomCrop, CenterCrop]), shares, shares)
flips = st.just(RandomFlip(1.0))
antialias = st.booleans()
filters = st.sampled_from(["bilinear", "bicubic"])
resizes = st.one_of(
    st.builds(Resize, st.tuples(SIDES, SIDES), filters, antialias),
    st.builds(ResizeShortSide, SIDES, filters, antialias, st.sampled_from([1, 8, 16, 32])),
    st.builds(
        RandomResizedCrop,
        st.tuples(SIDES, SIDES),
        st.sampled_from([(0.8, 1.0), (0.3, 0.5), (0.08, 1.0)]),
        st.sampled_from([(3 / 4, 4 / 3), (1.0, 1.0), (0.3, 3.0)]),
        filters,
        antialias,
    ),
)
pipelines = st.lists(st.one_of(crops, flips, resizes), max_size=6)
seeds = st.integers(0, 10**6)


def markers(height, width):
    """An image that says at every pixel where its centre lies: x in red, y in green."""
    image = np.zeros((height, width, 3))
    image[..., 0] = np.arange(width) + 0.5
    image[..., 1] = np.arange(height)[:, None] + 0.5
    return image


def pixel_centres(size):
    """``(h, w, 2)``: x, y of the pixels' centres."""
    return markers(*size)[..., :2]


def shown(image, pipeline, seed):
    np.random.seed(seed)
    return run_pipeline(image, pipeline, "image")


@settings(deadline=None, max_examples=200)
@given(
    height=SIDES, width=SIDES, pipeline=pipelines, seed=seeds, box=st.tuples(*[st.floats(0, 1)] * 4)
)
def test_regions_lie_inside_and_boxes_come_back(height, width, pipeline, seed, box):
    results = shown(np.zeros((height, width, 3), np.uint8), pipeline, seed)
    (x0, y0, x1, y1), size = results["region"], results["img"].shape[:2]
    assert 0 <= x0 < x1 <= width + 1e-9
    assert 0 <= y0 < y1 <= height + 1e-9
    across, down = (
        sorted((box[0] * width, box[2] * width)),
        sorted((box[1] * height, box[3] * height)),
    )
    boxes = np.array([[across[0], down[0], across[1], down[1]]])
    placed = boxes_to_input(boxes, results["region"], results["flip"], size)
    back = boxes_to_original(placed, results["region"], results["flip"], size)
    np.testing.assert_allclose(back, boxes, atol=1e-3)
    # The input's own frame is the region, and nothing but the region.
    frame = np.array([[0, 0, size[1], size[0]]])
    seen = boxes_to_original(frame, results["region"], results["flip"], size)
    np.testing.assert_allclose(seen, [results["region"]], atol=1e-9)


@settings(deadline=None, max_examples=150)
@given(height=SIDES, width=SIDES, pipeline=pipelines, seed=seeds)
def test_every_pixel_shows_the_place_that_it_is_mapped_to(height, width, pipeline, seed):
    watched = [Watched(transform) for transform in pipeline]
    results = shown(markers(height, width), watched, seed)
    size = results["img"].shape[:2]
    places = points_to_original(pixel_centres(size), results["region"], results["flip"], size)
    blur = sum(transform.blur for transform in watched)
    off = np.abs(results["img"][..., :2] - places)
    assert off.max() <= blur + 1e-3


@settings(deadline=None)
@given(
    height=SIDES, width=SIDES, pipeline=st.lists(st.one_of(crops, flips), max_size=8), seed=seeds
)
def test_crops_and_flips_move_whole_pixels(height, width, pipeline, seed):
    image = markers(height, width)
    results = shown(image, pipeline, seed)
    size = results["img"].shape[:2]
    places = points_to_original(pixel_centres(size), results["region"], results["flip"], size)
    np.testing.assert_array_equal(results["img"][..., :2], np.round(places * 2) / 2)
    np.testing.assert_allclose(places, np.round(places * 2) / 2, atol=1e-9)


@settings(deadline=None, max_examples=100)
@given(
    height=SIDES,
    width=SIDES,
    pipeline=st.lists(st.one_of(crops, flips), max_size=3),
    target=st.tuples(SIDES, SIDES),
    antialias=antialias,
    seed=seeds,
)
def test_the_inside_of_one_resizing_is_exact(height, width, pipeline, target, antialias, seed):
    last = Resize(target, "bilinear", antialias)
    results = shown(markers(height, width), [*pipeline, last], seed)
    x0, y0, x1, y1 = results["region"]
    assume(min(x1 - x0, y1 - y0) >= 2)  # one pixel, enlarged, is the same everywhere
    size = results["img"].shape[:2]
    places = points_to_original(pixel_centres(size), results["region"], results["flip"], size)
    margins = [side // 3 for side in size]
    inside = tuple(slice(m, side - m) for m, side in zip(margins, size, strict=True))
    # The wider filter's weights are sampled, so that its centre is not quite the pixel's.
    tolerance = 0.1 if antialias else 1e-3
    np.testing.assert_allclose(results["img"][inside][..., :2], places[inside], atol=tolerance)


def answer(values, height, width, results):
    """What a network that sees the pipeline's input and answers with a map predicts."""
    sample = Sample("image", 0, (height, width), results["region"], results["flip"])
    maps = [ViewMaps(View(), {"cam": torch.as_tensor(values, dtype=torch.float32)[None]})]
    return Prediction(sample, np.ones(1), [0], maps, SingleView(), ThresholdBoxes(0.5))


def lit(size, box):
    values = np.zeros(size)
    x0, y0, x1, y1 = np.round(box).astype(int)
    values[y0:y1, x0:x1] = 1
    return values


def whole_box(draw, region):
    """A box of whole pixels inside a region of whole pixels, not all of it."""
    x0, y0, x1, y1 = (round(value) for value in region)
    left, top = draw(st.integers(x0, x1 - 1)), draw(st.integers(y0, y1 - 1))
    right, bottom = draw(st.integers(left + 1, x1)), draw(st.integers(top + 1, y1))
    assume((left, top, right, bottom) != (x0, y0, x1, y1))  # a constant map says nothing
    return np.array([[left, top, right, bottom]], np.float64)


@settings(deadline=None, max_examples=150)
@given(
    height=SIDES,
    width=SIDES,
    pipeline=st.lists(st.one_of(crops, flips), max_size=5),
    seed=seeds,
    data=st.data(),
)
def test_a_map_of_the_inputs_pixels_gives_the_very_box(height, width, pipeline, seed, data):
    results = shown(np.zeros((height, width, 3), np.uint8), pipeline, seed)
    size = results["img"].shape[:2]
    box = whole_box(data.draw, results["region"])
    placed = boxes_to_input(box, results["region"], results["flip"], size)[0]
    found = answer(lit(size, placed), height, width, results).boxes(0)
    assert found.xyxy.tolist() == box.tolist()


@settings(deadline=None, max_examples=150)
@given(
    rows=st.integers(3, 14),
    columns=st.integers(3, 14),
    cell=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    margins=st.tuples(*[st.integers(0, 20)] * 4),
    flip=st.booleans(),
    scale=st.sampled_from([0.5, 1.0, 2.0, 3.7]),
    data=st.data(),
)
def test_cells_of_a_map_give_the_box_that_they_cover(
    rows, columns, cell, margins, flip, scale, data
):
    """A crop of whole cells, shown at any size, answered by a map of one value a cell."""
    left, top, right, bottom = margins
    shape = (rows * cell[0], columns * cell[1])
    height, width = top + shape[0] + bottom, left + shape[1] + right
    region = (left, top, left + shape[1], top + shape[0])
    size = (round(shape[0] * scale), round(shape[1] * scale))
    results = {"region": tuple(map(float, region)), "flip": flip}
    first = data.draw(st.integers(0, columns - 2)), data.draw(st.integers(0, rows - 2))
    last = data.draw(st.integers(first[0] + 1, columns)), data.draw(st.integers(first[1] + 1, rows))
    assume((*first, *last) != (0, 0, columns, rows))
    corners = np.array([first, last]) * [cell[1], cell[0]] + [left, top]
    box = corners.reshape(1, 4)
    placed = boxes_to_input(box, results["region"], flip, size)[0]
    cells = placed * np.array([columns / size[1], rows / size[0]] * 2)
    found = answer(lit((rows, columns), cells), height, width, results).boxes(0)
    assert found.xyxy.tolist() == box.tolist()


def test_a_wrong_flip_would_show():
    results = shown(markers(40, 60), [RandomFlip(1.0), Within(RandomCrop, 0.5, 0.5)], 3)
    size = results["img"].shape[:2]
    wrong = points_to_original(pixel_centres(size), results["region"], False, size)
    assert np.abs(results["img"][..., :2] - wrong).max() > 10
