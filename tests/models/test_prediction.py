"""Where a map lies in the image, which way round, and what the box extractor is told."""

import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.errors import EvaluationError
from wsoltool.models.contracts import BoxExtractor
from wsoltool.models.fusion import Flip, SingleView
from wsoltool.models.prediction import Prediction, to_cpu
from wsoltool.structures import Boxes, Erasure, Sample, View, ViewMaps


class Recorder(BoxExtractor):
    """Keeps what it was called with; answers one box that covers the map's ones."""

    features = ("last",)

    def __call__(self, localization_map, context):
        self.seen = (localization_map, context)
        rows, columns = np.nonzero(localization_map == 1)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Boxes(np.array([box], np.float32), np.ones(1, np.float32))


def predicted(
    raw,
    size,
    region=None,
    flipped=False,
    class_ids=(3,),
    scores=(0.1, 0.6, 0.3),
    parts=None,
    erasures=None,
):
    """A prediction of raw maps ``(n, h, w)`` under one view."""
    raw = torch.as_tensor(raw, dtype=torch.float32)
    region = region or (0.0, 0.0, float(size[1]), float(size[0]))
    return Prediction(
        Sample("image", 3, size, region, flipped),
        np.array(scores, np.float32),
        class_ids,
        [ViewMaps(View(), {"cam": raw})],
        SingleView(),
        Recorder(),
        {"last": raw[:1] * 10},
        None if parts is None else torch.tensor(parts, dtype=torch.float32),
        erasures,
    )


def test_two_by_two_by_hand():
    # Rows 0 4 / 8 2 to a size of its own: min-max alone.
    answer = predicted([[[0.0, 4.0], [8.0, 2.0]]], (2, 2)).map(3)
    assert answer.dtype == np.float32
    assert answer.tolist() == [[0.0, 0.5], [1.0, 0.25]]


def test_two_columns_enlarged_by_hand():
    # Cell centres lie at 1/4 and 3/4 of the width: weights 0, 1/4, 3/4, 1.
    answer = predicted([[[0.0, 1.0]]], (1, 4)).map(3)
    assert answer.tolist() == [[0.0, 0.25, 0.75, 1.0]]


def test_the_original_size_is_the_default_and_others_show_the_whole_image_too():
    prediction = predicted([[[0.0, 4.0], [8.0, 2.0]]], (6, 10))
    assert prediction.map(3).shape == (6, 10)
    assert prediction.map(3, (2, 2)).tolist() == [[0.0, 0.5], [1.0, 0.25]]
    assert prediction.map(3, (224, 200)).shape == (224, 200)


class Counting(SingleView):
    """Counts the maps that it makes."""

    def __init__(self):
        super().__init__()
        self.made = 0

    def fuse(self, maps, size):
        self.made += 1
        return super().fuse(maps, size)


def test_a_map_is_made_once_while_somebody_holds_it():
    prediction = predicted(torch.rand(2, 3, 3), (6, 8), class_ids=(3, 1))
    fusion = prediction._fusion = Counting()
    first = prediction.map(3)
    assert prediction.map(3, (6, 8)) is first
    prediction.boxes(3)
    assert fusion.made == 1
    # Another size and another class are other maps.
    small, other = prediction.map(3, (3, 4)), prediction.map(1)
    assert (small.shape, fusion.made) == ((3, 4), 3)
    assert not np.array_equal(other, first)
    # Held by nobody it is gone: predictions of a batch live until all of it is scored.
    gone, expected = weakref.ref(first), first.copy()
    del first
    prediction._extractor.seen = None
    assert gone() is None
    assert np.array_equal(prediction.map(3), expected)
    assert fusion.made == 4


def test_boxes_are_found_once():
    prediction = predicted(torch.rand(2, 3, 3), (6, 8), class_ids=(3, 1))
    fusion = prediction._fusion = Counting()
    first = prediction.boxes(3)
    assert prediction.boxes(3) is first
    assert prediction.boxes(1) is not first
    assert fusion.made == 2


def test_a_crop_is_pasted_where_it_was_cut():
    prediction = predicted([[[0.0, 4.0], [8.0, 2.0]]], (4, 6), region=(1.0, 2.0, 3.0, 4.0))
    expected = np.zeros((4, 6))
    expected[2:4, 1:3] = [[0.0, 0.5], [1.0, 0.25]]
    assert prediction.map(3).tolist() == expected.tolist()
    # At another size the place scales with the image: columns 2 to 6, rows 4 to 8.
    larger = prediction.map(3, (8, 12))
    assert larger[4:8, 2:6].max() == 1
    outside = np.ones((8, 12), bool)
    outside[4:8, 2:6] = False
    assert not larger[outside].any()


@pytest.mark.parametrize(
    ("region", "rows", "columns"),
    [
        ((0.4, 0.6, 4.4, 3.6), (1, 4), (0, 4)),
        ((0.5, 1.5, 2.5, 3.5), (2, 4), (1, 3)),  # halves go up at both ends: the length stays
        ((1.1, 1.1, 1.2, 1.2), (1, 2), (1, 2)),  # never less than one pixel
        ((4.9, 3.9, 5.0, 4.0), (3, 4), (4, 5)),
    ],
)
def test_fractions_of_pixels_are_rounded(region, rows, columns):
    answer = predicted([[[1.0, 2.0], [3.0, 4.0]]], (4, 5), region=region).map(3)
    inside = np.zeros((4, 5), bool)
    inside[slice(*rows), slice(*columns)] = True
    assert not answer[~inside].any()
    size = (rows[1] - rows[0], columns[1] - columns[0])
    expected = SingleView().fuse(
        [ViewMaps(View(), {"cam": torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])})], size
    )[0]
    assert np.array_equal(answer[inside].reshape(size), expected.numpy())


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(*[st.floats(0, 1)] * 4),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_any_region_and_size_give_a_map_of_that_size(size, shares, wanted):
    x0, x1 = sorted(share * size[1] for share in shares[:2])
    y0, y1 = sorted(share * size[0] for share in shares[2:])
    answer = predicted([[[0.0, 1.0], [2.0, 3.0]]], size, region=(x0, y0, x1, y1)).map(3, wanted)
    assert answer.shape == wanted
    assert answer.min() >= 0
    assert answer.max() <= 1


def test_a_mirrored_sample_is_turned_back():
    raw = [[[0.0, 4.0], [8.0, 2.0]]]
    assert predicted(raw, (2, 2), flipped=True).map(3).tolist() == [[0.5, 0.0], [0.25, 1.0]]
    cropped = predicted(raw, (2, 6), region=(3.0, 0.0, 5.0, 2.0), flipped=True).map(3)
    assert cropped[:, 3:5].tolist() == [[0.5, 0.0], [0.25, 1.0]]
    assert not cropped[:, [0, 1, 2, 5]].any()


def test_each_class_has_its_row():
    prediction = predicted([[[0.0, 1.0]], [[1.0, 0.0]]], (1, 2), class_ids=(3, 1))
    assert prediction.map(3).tolist() == [[0.0, 1.0]]
    assert prediction.map(1).tolist() == [[1.0, 0.0]]
    assert prediction.raw_maps(1)[0].branches["cam"].tolist() == [[[1.0, 0.0]]]


def with_parts(parts, size, **sample):
    return predicted([[[0.0, 1.0]]], size, parts=parts, **sample)


def test_part_maps_keep_their_values():
    # Neither part reaches 0 or 1; columns with weights 0, 1/4, 3/4, 1 as those of maps.
    prediction = with_parts([[[0.25, 0.5]], [[0.75, 0.75]]], (1, 4))
    assert prediction.part_maps.tolist() == [[[0.25, 0.5]], [[0.75, 0.75]]]
    answer = prediction.part_maps_at()
    assert answer.dtype == np.float32
    assert answer.tolist() == [[[0.25, 0.3125, 0.4375, 0.5]], [[0.75] * 4]]
    assert prediction.part_maps_at((1, 2)).tolist() == [[[0.25, 0.5]], [[0.75, 0.75]]]


def test_part_maps_lie_where_the_network_looked_and_the_image_s_way_round():
    raw = [[[0.5, 1.0], [0.25, 0.75]]]
    cropped = with_parts(raw, (4, 6), region=(1.0, 2.0, 3.0, 4.0))
    expected = np.zeros((1, 4, 6))
    expected[0, 2:4, 1:3] = raw[0]
    assert cropped.part_maps_at().tolist() == expected.tolist()
    assert with_parts(raw, (2, 2), flipped=True).part_maps_at().tolist() == [
        [[1.0, 0.5], [0.75, 0.25]]
    ]
    assert with_parts(raw, (2, 2), flipped=True).part_maps.tolist() == [[[1.0, 0.5], [0.75, 0.25]]]
    both = with_parts(raw, (4, 6), region=(1.0, 2.0, 3.0, 4.0), flipped=True)
    assert both.part_maps_at()[0, 2:4, 1:3].tolist() == [[1.0, 0.5], [0.75, 0.25]]
    assert both.part_maps_at((8, 12))[0, :4].max() == 0


def test_without_parts_there_are_none():
    prediction = predicted([[[0.0, 1.0]]], (1, 2))
    assert prediction.part_maps is None
    assert prediction.part_maps_at() is None


def erased(kept, size, attention=None, **sample):
    kept, attention = (a if a is None else np.array(a, np.float32) for a in (kept, attention))
    erasure = Erasure(kept, 0.25, attention, "hidden", "words")
    return predicted([[[0.0, 1.0]]], size, erasures={"late": erasure}, **sample)


def test_what_is_hidden_is_enlarged_cell_by_cell_and_what_is_looked_at_smoothly():
    prediction = erased([[0, 1], [1, 0.5]], (2, 4), [[2, 4], [2, 4]])
    assert prediction.erasures_at().keys() == {"late"}
    answer = prediction.erasures_at()["late"]
    assert answer.kept.tolist() == [[0, 0, 1, 1], [1, 1, 0.5, 0.5]]
    # Columns with weights 0, 1/4, 3/4, 1, as those of maps.
    assert answer.attention.tolist() == [[0, 0.25, 0.75, 1]] * 2
    assert (answer.hidden, answer.case, answer.meaning) == (0.25, "hidden", "words")
    assert answer.kept.dtype == answer.attention.dtype == np.float32
    # Pixels go to the cell in which their centre lies: 1.5 of 3 to the second of two, 2/3 a cell.
    odd = erased([[0, 1]], (1, 3)).erasures_at()["late"]
    assert odd.kept.tolist() == [[0, 1, 1]]
    assert odd.attention is None
    assert (
        erased([[0, 1]], (1, 2)).erasures_at((2, 8))["late"].kept.tolist()
        == [[0, 0, 0, 0, 1, 1, 1, 1]] * 2
    )


@pytest.mark.parametrize("flipped", [False, True])
def test_erasures_lie_where_the_network_looked_and_the_image_s_way_round(flipped):
    kept, attention = [[0, 1], [1, 1]], [[9, 1], [1, 1]]
    region = (1.0, 2.0, 3.0, 4.0)
    prediction = erased(kept, (5, 6), attention, region=region, flipped=flipped)
    marked = np.zeros((5, 6))
    marked[2, 2 if flipped else 1] = 1
    answer = prediction.erasures_at()["late"]
    assert answer.kept.tolist() == (1 - marked).tolist()
    assert answer.attention.tolist() == marked.tolist()
    again = prediction.erasures_at()["late"]  # nothing was turned in place
    assert np.array_equal(again.kept, answer.kept)


def test_a_flat_attention_becomes_zeros():
    assert not erased([[1, 1]], (1, 2), [[3, 3]]).erasures_at()["late"].attention.any()


def test_without_erasures_there_are_none():
    assert predicted([[[0.0, 1.0]]], (1, 2)).erasures_at() == {}


@pytest.mark.parametrize("ask", ["map", "boxes", "raw_maps", "branches_at"])
def test_a_class_that_was_not_asked_for_is_refused(ask):
    prediction = predicted([[[0.0, 1.0]]], (1, 2))
    with pytest.raises(EvaluationError, match="no map of class 2 for 'image'") as caught:
        getattr(prediction, ask)(2)
    assert caught.value.known == ("3",)


@pytest.mark.parametrize("flipped", [False, True])
def test_the_extractor_sees_map_region_raw_maps_and_features_unmirrored(flipped):
    raw = torch.tensor([[[0.0, 1.0], [4.0, 2.0]]])
    prediction = predicted(raw, (6, 8), region=(2.0, 1.0, 6.0, 5.0), flipped=flipped)
    boxes = prediction.boxes(3)
    localization_map, context = prediction._extractor.seen
    upright = raw.flip(-1) if flipped else raw
    assert np.array_equal(localization_map, prediction.map(3))
    assert context.class_id == 3
    assert context.region == (2.0, 1.0, 6.0, 5.0)
    assert torch.equal(context.maps[0].branches["cam"], upright)
    assert torch.equal(context.features["last"], upright * 10)
    # The corner of the maximum, in pixels of the original image.
    left = 5.0 if flipped else 2.0
    assert boxes.xyxy.tolist() == [[left, 4.0, left + 1, 5.0]]


def test_the_extractor_can_ask_for_the_fused_map_of_the_region_at_any_size():
    raw = torch.tensor([[[0.0, 4.0], [8.0, 2.0]]])
    prediction = predicted(raw, (6, 8), region=(2.0, 1.0, 6.0, 5.0))
    prediction.boxes(3)
    localization_map, context = prediction._extractor.seen
    fused = context.fused((2, 2))
    assert (fused.dtype, fused.tolist()) == (np.float32, [[0.0, 0.5], [1.0, 0.25]])
    # At the region's own size it is that part of the map which the extractor was given.
    assert np.array_equal(context.fused((4, 4)), localization_map[1:5, 2:6])
    assert context.fused((3, 5)).shape == (3, 5)


@pytest.mark.parametrize("class_id", [3, 1])
def test_the_fused_map_is_of_the_asked_class_and_upright(class_id):
    raw = [[[0.0, 4.0], [8.0, 2.0]], [[1.0, 0.0], [0.0, 0.0]]]
    prediction = predicted(raw, (2, 2), flipped=True, class_ids=(3, 1))
    prediction.boxes(class_id)
    localization_map, context = prediction._extractor.seen
    assert np.array_equal(context.fused((2, 2)), localization_map)
    assert np.array_equal(context.fused((2, 2)), prediction.map(class_id))


def test_the_fused_map_is_made_of_all_views():
    def view(values, **settings):
        return ViewMaps(View(**settings), {"cam": torch.tensor([values])})

    prediction = Prediction(
        Sample("image", 0, (2, 2), (0.0, 0.0, 2.0, 2.0)),
        np.ones(1, np.float32),
        (0,),
        [view([[0.0, 4.0], [8.0, 2.0]]), view([[2.0, 0.0], [0.0, 2.0]], flip=True)],
        Flip(),
        Recorder(),
        {},
    )
    prediction.boxes(0)
    # Sums 2 4 / 8 4, then min-max.
    fused = prediction._extractor.seen[1].fused((2, 2))
    np.testing.assert_allclose(fused, [[0, 1 / 3], [1, 1 / 3]], atol=1e-6)


def test_top_classes_break_ties_by_index():
    prediction = predicted([[[0.0, 1.0]]], (1, 2), scores=(0.2, 0.3, 0.2, 0.3))
    assert prediction.top_classes(1) == [1]
    assert prediction.top_classes(3) == [1, 3, 0]
    assert prediction.top_classes(9) == [1, 3, 0, 2]


def test_maps_leave_the_graph_and_the_precision_behind():
    half = torch.ones(1, 2, 2, dtype=torch.bfloat16, requires_grad=True)
    (moved,) = to_cpu({"cam": half * 2}).values()
    assert moved.dtype == torch.float32
    assert not moved.requires_grad


def test_a_single_branch_is_not_shown_twice():
    assert predicted([[[0.0, 1.0]]], (1, 2)).branches_at(3) == {}
