"""Two-stage boxes of maps and features by hand, and of whole localizers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsoltool.errors import ConfigError
from wsoltool.functional.maps import minmax_normalize
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.builder import build_localizer
from wsoltool.plugin.manager import build
from wsoltool.structures import BoxContext, Sample, Samples
from wsoltool.testing import check_box_extractor
from wsoltool_plugins import revisited_cam
from wsoltool_plugins.revisited_cam.contrast import threshold_grid, two_stage
from wsoltool_plugins.revisited_cam.two_stage import TwoStageBoxes

BOXES = {"type": "revisited_cam.TwoStageBoxes"}
RECOMBINED = {"type": "revisited_cam.RecombinedWeights"}
REGION = (10.0, 20.0, 50.0, 44.0)


def context(grid, features, region=(0.0, 0.0, 8.0, 8.0)):
    """The map is asked for on the grid alone."""

    def fused(size):
        assert size == grid.shape
        return grid

    return BoxContext(0, region, [], fused, {"last": features})


@pytest.fixture
def square():
    """Grid ``(4, 4)`` whose middle is the object, its features, and the map of 8 x 8 pixels."""
    grid = np.zeros((4, 4), np.float32)
    grid[1:3, 1:3] = [[0.5, 1.0], [0.5, 0.5]]
    features = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    pixels = np.zeros((8, 8), np.float32)
    pixels[2:6, 2:6] = 0.5
    pixels[2:4, 4:6] = 1.0
    pixels[3, 6] = 0.3
    return grid, features, pixels


def localizer(**model):
    """SmallNet on 24 x 40 pixels: a grid of 6 x 10 cells."""
    torch.manual_seed(2)
    parts = {
        "backbone": {"type": "SmallNet", "channels": (8, 12, 16)},
        "head": {"type": "cam.CAMHead", "num_classes": 3},
        "boxes": BOXES,
        **model,
    }
    return build_localizer(parts).eval()


def samples(count, flipped=False):
    return Samples.of([Sample(f"{i}", i % 3, (80, 100), REGION, flipped) for i in range(count)])


def images(count):
    """Noise, and in each image one patch of other colours that stands further to the right."""
    generator = torch.Generator().manual_seed(5)
    made = 0.3 * torch.randn(count, 3, 24, 40, generator=generator)
    for i, image in enumerate(made):
        colour = 3 * torch.randn(3, 1, 1, generator=generator)
        left = 4 + 4 * i
        image[:, 8:18, left : left + 12] = colour + torch.randn(3, 10, 12, generator=generator)
    return made


def test_face_offers_the_extractor():
    assert revisited_cam.wsoltool_box_extractors() == [TwoStageBoxes]


@pytest.mark.parametrize("cut", ["cells", "pixels"])
def test_contract(cut):
    check_box_extractor(TwoStageBoxes(cut=cut), {"last": 6})
    check_box_extractor(TwoStageBoxes(cut=cut, feature="stage3", min_seeds=1), {"stage3": 6})


def test_cells_are_scaled_to_the_region(square):
    grid, features, pixels = square
    boxes = TwoStageBoxes()(pixels, context(grid, features))
    assert boxes.xyxy.tolist() == [[2, 2, 6, 6]]
    assert boxes.scores.tolist() == [0.625]  # (3 * 0.5 + 1) / 4, of the cells
    assert boxes.thresholds.tolist() == [0]
    assert boxes.xyxy.dtype == boxes.scores.dtype == boxes.thresholds.dtype == np.float32
    shown = context(grid, features, region=(3.0, 10.0, 7.0, 30.0))
    assert TwoStageBoxes()(pixels, shown).xyxy.tolist() == [[4, 15, 6, 25]]


def test_the_whole_grid_is_the_region_to_the_bit():
    region = (0.1, 0.7, 333.3, 499.9)
    full = np.ones((7, 7), np.float32)
    boxes = TwoStageBoxes()(full, context(full, torch.rand(2, 7, 7), region))
    assert boxes.xyxy.tolist() == [np.array(region, np.float32).tolist()]


def test_pixels_are_cut_as_by_a_fixed_threshold(square):
    grid, features, pixels = square
    boxes = TwoStageBoxes(cut="pixels")(pixels, context(grid, features))
    assert boxes.xyxy.tolist() == [[2, 2, 7, 6]]
    expected = ThresholdBoxes(threshold=0.0)(pixels, context(grid, features))
    assert np.array_equal(boxes.xyxy, expected.xyxy)
    assert np.array_equal(boxes.scores, expected.scores)
    assert boxes.thresholds.tolist() == [0]


@pytest.mark.parametrize("cut", ["cells", "pixels"])
@pytest.mark.parametrize("lit", [[], [(2, 2)], [(0, 0), (0, 1), (3, 3)]])
def test_a_map_of_zeros_and_too_few_seeds_have_no_box(cut, lit, square):
    _, features, pixels = square
    grid = np.zeros((4, 4), np.float32)
    for cell in lit:
        grid[cell] = 1.0
    boxes = TwoStageBoxes(cut=cut)(pixels, context(grid, features))
    assert boxes.xyxy.shape == (0, 4)
    assert boxes.scores.shape == boxes.thresholds.shape == (0,)


def test_it_shows_no_fixed_threshold():
    assert not hasattr(TwoStageBoxes(), "threshold")


@pytest.mark.parametrize("flipped", [False, True])
def test_a_localizers_boxes_lie_in_the_original_image(flipped):
    model, data = localizer(map_source=RECOMBINED), images(3)
    with torch.no_grad():
        features = model.extract(data)["last"]
    assert features.shape == (3, 16, 6, 10)
    weights = model.head.classifier.weight.detach().abs()
    predictions = model.predict(data, samples(3, flipped))
    for i, (prediction, last) in enumerate(zip(predictions, features, strict=True)):
        last = last.flip(-1) if flipped else last
        grid = minmax_normalize(torch.einsum("k,khw->hw", weights[i], last)).numpy()
        chosen = two_stage(grid[None], last[None], threshold_grid(0.05))
        expected = chosen.boxes[0] * 4 + [10, 20, 10, 20]  # cells of 4 x 4 pixels
        boxes = prediction.boxes(i)
        np.testing.assert_allclose(boxes.xyxy, expected[None], rtol=1e-6)
        np.testing.assert_allclose(boxes.thresholds, chosen.thresholds, rtol=1e-6)


def test_mirrored_samples_have_mirrored_boxes():
    model, data = localizer(map_source=RECOMBINED), images(6)
    upright = [p.boxes(i % 3) for i, p in enumerate(model.predict(data, samples(6)))]
    turned = [p.boxes(i % 3) for i, p in enumerate(model.predict(data, samples(6, flipped=True)))]
    moved = 0
    for one, other in zip(upright, turned, strict=True):
        x0, y0, x1, y1 = one.xyxy[0]
        np.testing.assert_allclose(other.xyxy, [[60 - x1, y0, 60 - x0, y1]], atol=1e-4)
        assert other.thresholds == one.thresholds
        moved += x0 + x1 != 60
    assert moved > 2, "the boxes are symmetrical: the test shows nothing"


def test_a_batch_has_the_boxes_of_its_images():
    model, data = localizer(map_source=RECOMBINED), images(4)
    together = model.predict(data, samples(4))
    for i, prediction in enumerate(together):
        (alone,) = model.predict(data[i : i + 1], samples(4).select([i]))
        assert np.array_equal(alone.boxes(i % 3).xyxy, prediction.boxes(i % 3).xyxy)
        assert np.array_equal(alone.boxes(i % 3).thresholds, prediction.boxes(i % 3).thresholds)


@pytest.mark.parametrize("cut", ["cells", "pixels"])
@pytest.mark.parametrize(
    "parts",
    [
        {"fusion": {"type": "Flip"}},
        {"fusion": {"type": "MultiScale", "scales": (1.0, 1.5), "flip": True}},
        {"fusion": {"type": "MultiScale", "scales": (2.0, 1.0), "reduce": "max"}},
        {
            "backbone": {"type": "SmallNet", "channels": (8, 32)},
            "head": {"type": "fam.FAMHead", "num_classes": 3},
            "fusion": {"type": "SingleView", "normalize": "none"},
        },
        {"backbone": {"type": "MobileNetV1", "width": 0.25, "output_stride": 8}},
    ],
    ids=["flip", "scales", "largest first", "probabilities", "MobileNetV1"],
)
def test_any_fusion_head_and_backbone(parts, cut):
    model = localizer(**{**parts, "boxes": {**BOXES, "cut": cut}})
    for i, prediction in enumerate(model.predict(images(2), samples(2))):
        boxes = prediction.boxes(i)
        x0, y0, x1, y1 = REGION
        assert len(boxes) == len(boxes.thresholds) == 1
        assert (boxes.xyxy >= [x0, y0, x0, y0]).all()
        assert (boxes.xyxy <= [x1, y1, x1, y1]).all()
        assert (boxes.xyxy[:, :2] < boxes.xyxy[:, 2:]).all()
        assert boxes.thresholds[0] in threshold_grid(0.05).astype(np.float32)
        if cut == "pixels":
            fixed = ThresholdBoxes(threshold=float(f"{boxes.thresholds[0]:.2f}"))
            localization_map = prediction.map(i)
            assert np.array_equal(fixed(localization_map, None).xyxy, boxes.xyxy)


def test_other_features_have_their_own_grid():
    model = localizer(boxes={**BOXES, "feature": "stage1"})
    for i, prediction in enumerate(model.predict(images(2), samples(2))):
        cells = (prediction.boxes(i).xyxy - [10, 20, 10, 20]) / 2  # stage1 halves once
        assert np.array_equal(cells, cells.round())
        assert cells.max() <= 20


def test_mixed_precision_gives_a_box():
    model, data = localizer(), images(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predictions = model.predict(data, samples(2))
    for i, prediction in enumerate(predictions):
        boxes = prediction.boxes(i)
        assert len(boxes) == 1
        assert np.isfinite(boxes.xyxy).all()
        assert boxes.thresholds.dtype == np.float32


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("step", 0, "step=0"),
        ("step", 1.5, "step=1.5"),
        ("step", "0.05", "step='0.05'"),
        ("step", True, "step=True"),
        ("min_seeds", 0, "min_seeds=0"),
        ("min_seeds", 4.0, "min_seeds=4.0"),
        ("min_seeds", True, "min_seeds=True"),
        ("feature", 5, "feature=5"),
        ("cut", "pixel", "did you mean 'pixels'"),
    ],
)
def test_refused_options_are_named_with_their_key(option, value, says):
    with pytest.raises(ConfigError) as caught:
        build("box extractor", {**BOXES, option: value}, "model.boxes")
    assert says in str(caught.value)
    assert caught.value.at == "model.boxes"


def test_a_feature_that_the_backbone_has_not_is_named_when_built():
    with pytest.raises(ConfigError, match="no feature 'lasst'") as caught:
        localizer(boxes={**BOXES, "feature": "lasst"})
    assert caught.value.at == "model.boxes"
    assert "did you mean 'last'" in str(caught.value)
