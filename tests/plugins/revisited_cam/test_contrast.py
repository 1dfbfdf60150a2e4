"""The choice of a threshold against a slow reading of section 5.4.3, position by position."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import EvaluationError, ShapeError
from wsoltool_plugins.revisited_cam import contrast, pooling, recombination
from wsoltool_plugins.revisited_cam.contrast import (
    ROUNDING,
    border_seeds,
    largest_regions,
    mean_similarity,
    threshold_grid,
    two_stage,
)

THRESHOLDS = threshold_grid(0.05)


def components(grid: np.ndarray, threshold: float) -> list[set[tuple[int, int]]]:
    """8-connected sets of cells above the threshold, found cell by cell."""
    left = {cell for cell in np.ndindex(grid.shape) if float(grid[cell]) > threshold}
    found = []
    while left:
        member, queue = set(), [left.pop()]
        while queue:
            y, x = queue.pop()
            member.add((y, x))
            near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            queue += near
        found.append(member)
    return found


def box_of(cells: set[tuple[int, int]]) -> tuple[int, int, int, int]:
    ys, xs = zip(*cells, strict=True)
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    norms = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    return float(a @ b) / norms if norms else 0.0


def slowly(grid, features, thresholds, min_seeds):
    """(threshold, box, region, contrasts) of one image; threshold None where none will do."""
    contrasts, boxes, regions = [], [], []
    for threshold in thresholds:
        found = components(grid, threshold)
        if not found:
            contrasts.append(math.nan)
            boxes.append(None)
            regions.append(None)
            continue

        def order(cells):
            x0, y0, x1, y1 = box_of(cells)
            return -len(cells), y0, x0, y1, x1

        region = min(found, key=order)
        x0, y0, x1, y1 = box_of(region)
        seeds = [(y, x) for y, x in region if y in (y0, y1 - 1) or x in (x0, x1 - 1)]
        values = []
        for y, x in np.ndindex(grid.shape):
            similar = [cosine(features[:, i, j], features[:, y, x]) for i, j in seeds]
            values.append(sum(similar) / len(seeds))
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        contrasts.append(variance if len(seeds) >= min_seeds else math.nan)
        boxes.append((x0, y0, x1, y1))
        regions.append(region)
    known = [value for value in contrasts if not math.isnan(value)]
    if not known:
        return None, (0, 0, 0, 0), set(), contrasts
    best = next(i for i, value in enumerate(contrasts) if value <= min(known) + ROUNDING)
    return thresholds[best], boxes[best], regions[best], contrasts


@st.composite
def images(draw):
    """Maps ``(B, h, w)`` and features ``(B, C, h, w)`` with many ties and zero vectors."""
    shape = draw(st.tuples(*[st.integers(1, 4)] * 2, st.integers(1, 5)))
    count, height, width = shape
    channels = draw(st.integers(1, 3))
    cells = count * height * width
    maps = draw(st.lists(st.integers(0, 20), min_size=cells, max_size=cells))
    values = draw(
        st.lists(st.integers(-2, 2), min_size=cells * channels, max_size=cells * channels)
    )
    maps = (np.array(maps).reshape(shape) / 20).astype(np.float32)
    features = torch.tensor(values, dtype=torch.float32).view(count, channels, height, width)
    return maps, features


@settings(max_examples=60, deadline=None)
@given(images(), st.sampled_from([0.05, 0.1, 0.3]), st.integers(1, 5))
def test_every_image_is_read_as_slowly(made, step, min_seeds):
    maps, features = made
    thresholds = threshold_grid(step)
    chosen = two_stage(maps, features, thresholds, min_seeds)
    for index, grid in enumerate(maps):
        vectors = features[index].double().numpy()
        threshold, box, region, contrasts = slowly(grid, vectors, thresholds, min_seeds)
        np.testing.assert_allclose(chosen.contrasts[index], contrasts, atol=1e-12)
        assert chosen.boxes[index].tolist() == list(box)
        assert {tuple(cell) for cell in np.argwhere(chosen.regions[index]).tolist()} == region
        if threshold is None:
            assert np.isnan(chosen.thresholds[index])
        else:
            assert chosen.thresholds[index] == threshold


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_a_batch_is_its_images(seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(5, 8, 6, 7, generator=generator)
    maps = torch.rand(5, 6, 7, generator=generator).numpy()
    together = two_stage(maps, features, THRESHOLDS)
    for i in range(5):
        alone = two_stage(maps[i : i + 1], features[i : i + 1], THRESHOLDS)
        assert np.array_equal(alone.thresholds, together.thresholds[i : i + 1], equal_nan=True)
        assert np.array_equal(alone.boxes[0], together.boxes[i])
        assert np.array_equal(alone.regions[0], together.regions[i])
        np.testing.assert_allclose(alone.contrasts[0], together.contrasts[i], atol=1e-12)


def test_section_5_4_3_on_four_by_four():
    # A square of 2 x 2 in the middle, of which one cell is half background.
    grid = np.full((1, 4, 4), 0.1, np.float32)
    grid[0, 1:3, 1:3] = 0.6
    grid[0, 3, 0] = 0.0
    features = torch.zeros(1, 2, 4, 4)
    features[0, 1] = 5.0
    features[0, :, 1:3, 1:3] = torch.tensor([2.0, 0.0]).view(2, 1, 1)
    features[0, :, 2, 2] = torch.tensor([3.0, 3.0])
    chosen = two_stage(grid, features, np.array([0.0, 0.5, 0.7]))
    # At 0: 11 seeds (0, 1); similarities 1 (12 times), 1 / sqrt 2, 0 (3 times).
    mean, square = (12 + math.sqrt(0.5)) / 16, (12 + 0.5) / 16
    assert chosen.contrasts[0, 0] == pytest.approx(square - mean**2)
    # At 0.5: the mean unit seed is ((3 + 0.7071) / 4, 0.7071 / 4) = (0.92678, 0.17678).
    mean = (3 * 0.9267767 + 0.7803301 + 12 * 0.1767767) / 16
    square = (3 * 0.9267767**2 + 0.7803301**2 + 12 * 0.1767767**2) / 16
    assert chosen.contrasts[0, 1] == pytest.approx(square - mean**2, rel=1e-5)
    assert np.isnan(chosen.contrasts[0, 2])
    assert (chosen.thresholds[0], chosen.boxes[0].tolist()) == (0.5, [1, 1, 3, 3])
    assert np.array_equal(chosen.regions[0], grid[0] > 0.5)


def test_equation_22_on_four_by_four():
    torch.manual_seed(0)
    features = torch.randn(1, 3, 4, 4)
    features[0, :, 3, 3] = 0.0
    seeds = torch.zeros(1, 3, 4, 4, dtype=torch.bool)
    seeds[0, 0, 1, 2] = seeds[0, 1, 1, 2] = seeds[0, 1, 3, 3] = True
    similarity = mean_similarity(features, seeds)[0]
    a = features[0, :, 1, 2]
    for y, x in np.ndindex(4, 4):
        expected = cosine(a.double().numpy(), features[0, :, y, x].double().numpy())
        assert similarity[0, y, x].item() == pytest.approx(expected, abs=1e-12)
    assert similarity[0, 1, 2] == pytest.approx(1)
    # The second seed is a zero vector: it resembles nothing and halves the mean.
    torch.testing.assert_close(similarity[1], similarity[0] / 2)
    assert not similarity[2].any()
    assert not similarity[:, 3, 3].any()


def bordered_object(size=9):
    """A disc-like object whose border cells are half background; map falls off with distance."""
    features = torch.zeros(1, 2, size, size)
    features[0, 1] = 1.0
    features[0, :, 2:7, 2:7] = torch.tensor([1.0, 1.0]).view(2, 1, 1)
    features[0, :, 3:6, 3:6] = torch.tensor([1.0, 0.0]).view(2, 1, 1)
    y, x = np.mgrid[:size, :size] - size // 2
    grid = 1 - np.maximum(np.abs(x), np.abs(y)) / (size // 2)
    return grid[None].astype(np.float32), features


def test_the_box_on_the_border_of_object_and_background_wins():
    grid, features = bordered_object()
    chosen = two_stage(grid, features, THRESHOLDS)
    assert chosen.boxes[0].tolist() == [2, 2, 7, 7]
    # The map is 0.5 there and 0.25 one cell outside: the lowest threshold that leaves those out.
    assert chosen.thresholds[0] == 0.25


def test_thresholds_of_the_same_seeds_are_equally_good_and_the_lowest_wins():
    torch.manual_seed(0)
    grid = np.zeros((1, 6, 6), np.float32)
    grid[0, 1:4, 2:5] = 1.0
    chosen = two_stage(grid, torch.randn(1, 64, 6, 6), THRESHOLDS)
    assert np.ptp(chosen.contrasts) < ROUNDING
    assert chosen.thresholds[0] == 0


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_features_without_contrast_take_the_lowest_threshold(value):
    grid, _ = bordered_object()
    chosen = two_stage(grid, torch.full((1, 7, 9, 9), value), THRESHOLDS)
    assert (chosen.thresholds[0], chosen.boxes[0].tolist()) == (0, [1, 1, 8, 8])


def test_nothing_above_or_too_few_seeds_is_nothing_chosen():
    maps = np.zeros((3, 5, 5), np.float32)
    maps[1, 2, 2] = 1.0
    maps[2, 1, 1:4] = 1.0
    features = torch.rand(3, 2, 5, 5)
    chosen = two_stage(maps, features, THRESHOLDS)
    assert np.isnan(chosen.thresholds).all()
    assert np.isnan(chosen.contrasts).all()
    assert not chosen.boxes.any()
    assert not chosen.regions.any()
    three = two_stage(maps, features, THRESHOLDS, min_seeds=3)
    assert np.isnan(three.thresholds).tolist() == [True, True, False]
    assert three.boxes[2].tolist() == [1, 1, 4, 2]


def test_neither_gradients_nor_inputs_are_touched():
    grid, features = bordered_object()
    features.requires_grad_()
    before = grid.copy(), features.detach().clone()
    with torch.no_grad():
        two_stage(grid, features, THRESHOLDS)
    assert np.array_equal(grid, before[0])
    assert torch.equal(features.detach(), before[1])


def test_thresholds_are_the_numbers_that_one_types():
    assert THRESHOLDS.tolist() == [
        *(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45),
        *(0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    ]
    assert threshold_grid(1).tolist() == [0.0]
    for step in (0.001, 0.01, 0.07, 0.15, 0.25, 0.5):
        grid = threshold_grid(step)
        assert grid[-1] < 1 <= grid[-1] + step + 1e-9


def test_foreground_is_strictly_above_and_compared_in_float64():
    # float32's 0.15 is a little above 0.15, its 0.25 is exact.
    maps = np.array([[[0.15, 0.25]]], np.float32)
    regions, boxes = largest_regions(maps, np.array([0.15, 0.25]))
    assert regions.tolist() == [[[[True, True]], [[False, False]]]]
    assert boxes.tolist() == [[[0, 0, 2, 1], [0, 0, 0, 0]]]


def test_masks_do_not_touch_each_other():
    # Full maps: below each other, without a row between, they were one component.
    regions, boxes = largest_regions(np.ones((3, 2, 4), np.float32), np.array([0.0, 0.5]))
    assert regions.all()
    assert (boxes == [0, 0, 4, 2]).all()


def test_seeds_of_a_hollow_region():
    ring = np.array([[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1], [0, 1, 0, 0]], bool)
    expected = [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 0, 0]]
    found = border_seeds(ring[None], np.array([[0, 0, 4, 4]]))
    assert found[0].astype(int).tolist() == expected


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_features_that_are_not_finite_are_named(bad):
    grid, features = bordered_object()
    features[0, 0, 8, 8] = bad  # no seed of any threshold
    with pytest.raises(EvaluationError, match="a feature holds NaN or infinity"):
        two_stage(grid, features, THRESHOLDS)


@pytest.mark.parametrize("shape", [(1, 2, 9, 8), (2, 2, 9, 9), (2, 9, 9)])
def test_maps_and_features_of_different_grids_are_refused(shape):
    grid, _ = bordered_object()
    with pytest.raises(ShapeError, match="disagree"):
        two_stage(grid, torch.rand(shape), THRESHOLDS)


def test_seeds_of_another_grid_are_refused():
    with pytest.raises(ShapeError, match="disagree"):
        mean_similarity(torch.rand(1, 2, 3, 3), torch.zeros(1, 2, 3, 4, dtype=torch.bool))


@pytest.mark.parametrize("module", [contrast, pooling, recombination])
def test_examples_are_true(module):
    tried = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried.failed == 0
    assert tried.attempted
