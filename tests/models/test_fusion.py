import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.errors import ConfigError, EvaluationError, ShapeError
from wsoltool.functional.maps import minmax_normalize, resize_maps
from wsoltool.models.fusion import Flip, MultiScale, SingleView
from wsoltool.structures import View, ViewMaps
from wsoltool.testing import check_fusion


def view_maps(**branches):
    return ViewMaps(View(), {name: torch.tensor(values)[None] for name, values in branches.items()})


@pytest.mark.parametrize(
    "fusion",
    [
        SingleView(),
        SingleView(branches="max", normalize_branches=True, interpolation="bicubic"),
        SingleView(branches="b"),
        MultiScale(),
        MultiScale(scales=(0.5, 1.0), reduce="max", flip=True, interpolation="bicubic"),
        MultiScale(input_scale=2.0, reduce="mean", branches="max"),
        Flip(),
        Flip(flip_scores=True, branches="a"),
    ],
)
def test_contract(fusion):
    check_fusion(fusion, branches=("a", "b"))


def test_single_view_is_resize_then_minmax():
    maps = torch.randn(2, 3, 4)
    fused = SingleView().fuse([ViewMaps(View(), {"cam": maps})], (9, 8))
    assert SingleView().views() == (View(),)
    assert torch.equal(fused, minmax_normalize(resize_maps(maps, (9, 8))))


def test_interpolation_is_the_one_asked_for():
    maps = torch.randn(2, 5, 5)
    fused = SingleView(interpolation="bicubic").fuse([ViewMaps(View(), {"cam": maps})], (15, 15))
    assert torch.equal(fused, minmax_normalize(resize_maps(maps, (15, 15), "bicubic")))


@pytest.mark.parametrize(
    ("branches", "normalize", "expected"),
    [
        ("mean", False, [1 / 6, 1.0, 0.0]),  # 2, 7, 1
        ("max", False, [1 / 3, 1.0, 0.0]),  # 4, 10, 1
        ("mean", True, [1 / 21, 1.0, 0.0]),  # (0, 1, 1/4) and (1/3, 1, 0): 1/6, 1, 1/8
        ("max", True, [1 / 9, 1.0, 0.0]),  # 1/3, 1, 1/4
        ("a", False, [0.0, 1.0, 1 / 4]),
        ("b", True, [1 / 3, 1.0, 0.0]),
    ],
)
def test_branches_by_hand(branches, normalize, expected):
    maps = view_maps(a=[[0.0, 4.0, 1.0]], b=[[4.0, 10.0, 1.0]])
    fused = SingleView(branches, normalize_branches=normalize).fuse([maps], (1, 3))
    torch.testing.assert_close(fused, torch.tensor([[expected]]))


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [("sum", [1 / 6, 1.0, 0.0]), ("mean", [1 / 6, 1.0, 0.0]), ("max", [1 / 3, 1.0, 0.0])],
)
def test_views_by_hand(reduce, expected):
    maps = [view_maps(cam=[[0.0, 4.0, 1.0]]), view_maps(cam=[[4.0, 10.0, 1.0]])]
    fused = MultiScale(scales=(1.0, 2.0), reduce=reduce).fuse(maps, (1, 3))
    torch.testing.assert_close(fused, torch.tensor([[expected]]))


def test_mean_over_branches_divides_before_views_are_compared():
    # Means (1, 2) against the other view's (3, 0); sums (2, 4) would turn the order round.
    one, two = view_maps(a=[[0.0, 4.0]], b=[[2.0, 0.0]]), view_maps(a=[[3.0, 0.0]])
    fused = MultiScale(scales=(1.0, 2.0), reduce="max").fuse([one, two], (1, 2))
    torch.testing.assert_close(fused, torch.tensor([[[1.0, 0.0]]]))


def test_views_of_different_grids_meet_at_the_wanted_size():
    grids = [(4, 5), (6, 8), (8, 10)]
    maps = [ViewMaps(View(), {"cam": torch.randn(2, *grid)}) for grid in grids]
    resized = [resize_maps(m.branches["cam"], (20, 24)) for m in maps]
    torch.testing.assert_close(MultiScale().fuse(maps, (20, 24)), minmax_normalize(sum(resized)))


def test_multi_scale_views_are_relative_to_the_pipeline():
    views = MultiScale(scales=(1.0, 1.5, 2.0), input_scale=2.0).views()
    assert views == (View(0.5), View(0.75, scores=False), View(1.0, scores=False))


def test_flipped_views_give_scores_only_on_demand():
    assert Flip().views() == (View(), View(flip=True, scores=False))
    assert Flip(flip_scores=True).views() == (View(), View(flip=True))
    assert MultiScale(scales=(1.0, 2.0), flip=True).views() == (
        View(1.0),
        View(1.0, flip=True, scores=False),
        View(2.0, scores=False),
        View(2.0, flip=True, scores=False),
    )


def test_score_scales_choose_where_scores_come_from():
    views = MultiScale(scales=(0.5, 1.0, 2.0), score_scales=(0.5, 2.0)).views()
    assert [view.scores for view in views] == [True, False, True]


@given(st.floats(0.1, 100), st.floats(-50, 50))
def test_the_fused_map_ignores_scale_and_shift_of_raw_maps(scale, shift):
    maps = torch.linspace(-1, 1, 24, dtype=torch.float64).sin().view(2, 3, 4)
    fusion = MultiScale(scales=(1.0, 2.0))
    plain = fusion.fuse([ViewMaps(View(), {"cam": maps})] * 2, (6, 8))
    moved = fusion.fuse([ViewMaps(View(), {"cam": maps * scale + shift})] * 2, (6, 8))
    torch.testing.assert_close(moved, plain, atol=1e-3, rtol=0)


def test_unknown_branch_names_those_that_exist():
    with pytest.raises(ConfigError) as caught:
        SingleView("uper").fuse([view_maps(upper=[[0.0, 1.0]], lower=[[1.0, 0.0]])], (1, 2))
    message = str(caught.value)
    assert "known: mean, max, upper, lower" in message
    assert "did you mean 'upper'?" in message


def test_maps_that_cannot_be_fused_are_errors():
    with pytest.raises(ShapeError, match="no maps"):
        SingleView().fuse([], (2, 2))
    with pytest.raises(ShapeError, match="no maps"):
        SingleView().fuse([ViewMaps(View(), {})], (2, 2))
    different = {"a": torch.rand(1, 2, 2), "b": torch.rand(2, 2, 2)}
    with pytest.raises(ShapeError, match="cannot be fused"):
        SingleView().fuse([ViewMaps(View(), different)], (2, 2))
    with pytest.raises(ShapeError, match="cannot be fused"):
        SingleView().fuse([ViewMaps(View(), {"a": torch.rand(2, 2)})], (2, 2))
    with pytest.raises(EvaluationError):
        SingleView().fuse([view_maps(a=[[torch.nan, 1.0]])], (1, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": ()}, "scales"),
        ({"scales": (1.0, -1.0)}, "scales"),
        ({"scales": (1.0, 1.0)}, "scales"),
        ({"scales": 2.0}, "scales"),
        ({"scales": ("big",)}, "scales"),
        ({"input_scale": 0}, "input_scale"),
        ({"input_scale": float("inf")}, "input_scale"),
        ({"scales": (0.5, 2.0)}, "scale 1, which no view has"),
        ({"reduce": "summ"}, "reduce='summ'"),
        ({"interpolation": "nearest"}, "interpolation"),
        ({"branches": None}, "branches=None"),
    ],
)
def test_bad_options_are_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        MultiScale(**options)


def test_scales_may_come_as_a_list_and_are_not_changed():
    scales = [1, 2]
    fusion = MultiScale(scales=scales)
    scales.append(3)
    assert fusion.scales == (1.0, 2.0)


def test_probabilities_are_kept():
    maps = ViewMaps(View(), {"fam": torch.tensor([[[0.2, 0.6]], [[0.4, 0.4]]])})
    fused = SingleView(normalize="none").fuse([maps], (1, 2))
    assert torch.equal(fused, maps.branches["fam"])  # a constant one too


def test_probabilities_of_several_scales_are_averaged():
    fusion = MultiScale(scales=(1.0, 2.0), reduce="mean", normalize="none")
    fused = fusion.fuse([view_maps(fam=[[0.2, 0.4]]), view_maps(fam=[[0.6, 1.0]])], (1, 2))
    torch.testing.assert_close(fused, torch.tensor([[[0.4, 0.7]]]))


def test_bicubic_overshoot_of_probabilities_is_cut():
    fusion = SingleView(interpolation="bicubic", normalize="none")
    step = view_maps(fam=[[0.0, 0.0, 1.0, 1.0]])
    assert resize_maps(step.branches["fam"], (1, 40), "bicubic").max() > 1
    fused = fusion.fuse([step], (1, 40))
    assert (fused.min(), fused.max()) == (0, 1)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_scores_are_not_taken_for_probabilities(value):
    with pytest.raises(EvaluationError, match="leaves") as caught:
        SingleView(normalize="none").fuse([view_maps(cam=[[0.5, value]])], (2, 2))
    assert "model.fusion.normalize" in str(caught.value)


def test_branches_normalised_first_are_probabilities():
    fusion = SingleView(normalize_branches=True, normalize="none")
    fused = fusion.fuse([view_maps(a=[[1.0, 3.0]], b=[[5.0, 5.0]])], (1, 2))
    torch.testing.assert_close(fused, torch.tensor([[[0.0, 0.5]]]))


def test_a_sum_of_probabilities_is_refused():
    with pytest.raises(ConfigError, match="a sum of maps"):
        MultiScale(normalize="none")
    with pytest.raises(ConfigError, match="normalize='softmax'"):
        SingleView(normalize="softmax")


class TestPictured:
    MAPS = {"a": [[0.0, 4.0, 1.0]], "b": [[4.0, 10.0, 1.0]]}

    @staticmethod
    def shown(fusion, *views, size=(1, 3)):
        found = fusion.pictured(list(views), size)
        return {name: maps.tolist() for name, maps in found.items()}

    @pytest.mark.parametrize("branches", ["mean", "max", "a"])
    @pytest.mark.parametrize("normalize_branches", [False, True])
    def test_all_branches_whatever_is_fused(self, branches, normalize_branches):
        fusion = SingleView(branches, normalize_branches)
        expected = {
            "a": torch.tensor([[[0.0, 1.0, 0.25]]]),
            "b": torch.tensor([[[1 / 3, 1.0, 0.0]]]),
        }
        found = fusion.pictured([view_maps(**self.MAPS)], (1, 3))
        torch.testing.assert_close(found, expected)

    def test_a_single_branch_is_the_fused_map(self):
        assert SingleView().pictured([view_maps(cam=[[0.0, 1.0]])], (1, 2)) == {}

    def test_the_first_view_alone(self):
        one = view_maps(a=[[0.0, 1.0]], b=[[1.0, 0.0]])
        other = view_maps(a=[[5.0, 1.0]], b=[[1.0, 9.0]])
        fusion = MultiScale(scales=(1.0, 2.0))
        assert self.shown(fusion, one, other, size=(1, 2)) == {"a": [[[0, 1]]], "b": [[[1, 0]]]}
        assert self.shown(fusion, other, one, size=(1, 2)) == {"a": [[[1, 0]]], "b": [[[0, 1]]]}

    def test_enlarged_as_the_fused_map_is(self):
        maps = {name: torch.randn(2, 5, 5) for name in ("a", "b")}
        found = SingleView(interpolation="bicubic").pictured([ViewMaps(View(), maps)], (15, 14))
        for name, raw in maps.items():
            expected = minmax_normalize(resize_maps(raw, (15, 14), "bicubic"))
            assert torch.equal(found[name], expected)

    def test_probabilities_are_kept_as_fused(self):
        maps = view_maps(a=[[0.2, 0.6]], b=[[0.4, 0.4]])
        found = SingleView(normalize="none").pictured([maps], (1, 2))
        assert torch.equal(found["a"], maps.branches["a"])
        assert torch.equal(found["b"], maps.branches["b"])
        step = view_maps(a=[[0.0, 0.0, 1.0, 1.0]], b=[[0.0, 0.5, 0.5, 1.0]])
        fusion = SingleView(interpolation="bicubic", normalize="none")
        found = fusion.pictured([step], (1, 40))
        assert (found["a"].min(), found["a"].max()) == (0, 1)

    def test_what_is_not_fused_need_not_be_a_probability(self):
        maps = view_maps(a=[[0.2, 0.6]], b=[[-3.0, 5.0]])
        found = SingleView("a", normalize="none").pictured([maps], (1, 2))
        assert torch.equal(found["a"], maps.branches["a"])
        assert found["b"].tolist() == [[[0, 1]]]
        with pytest.raises(EvaluationError, match="leaves"):
            SingleView("mean", normalize="none").pictured([maps], (1, 2))
        found = SingleView(normalize_branches=True, normalize="none").pictured([maps], (1, 2))
        assert found["a"].tolist() == found["b"].tolist() == [[[0, 1]]]

    def test_a_constant_branch_becomes_zeros(self):
        maps = view_maps(a=[[3.0, 3.0]], b=[[0.0, 1.0]])
        assert self.shown(SingleView(), maps, size=(1, 2))["a"] == [[[0, 0]]]

    def test_nothing_to_show_is_an_error(self):
        with pytest.raises(ShapeError, match="no maps"):
            SingleView().pictured([], (2, 2))
        different = ViewMaps(View(), {"a": torch.zeros(1, 2, 2), "b": torch.zeros(2, 2, 2)})
        with pytest.raises(ShapeError, match="cannot be fused"):
            SingleView().pictured([different], (2, 2))
        with pytest.raises(EvaluationError):
            SingleView().pictured([view_maps(a=[[0.0, float("nan")]], b=[[0.0, 1.0]])], (1, 2))
