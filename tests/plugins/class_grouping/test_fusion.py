import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.functional.maps import minmax_normalize, resize_maps
from wsoltool.models.fusion import SingleView
from wsoltool.structures import View, ViewMaps
from wsoltool.testing import check_fusion
from wsoltool_plugins import class_grouping
from wsoltool_plugins.class_grouping import fusion as fusion_module
from wsoltool_plugins.class_grouping.fusion import LevelFusion, fuse_levels

OWN = torch.tensor([[0.0, 0.2, 0.4, 1.0]] * 4)
GROUPS = [torch.tensor([[0.0, 1.0, 0.0, 0.0]] * 4), torch.tensor([[0.0, 0.6, 1.0, 0.0]] * 4)]
REST = torch.tensor([[1.0, 0.0, 0.9, 0.0]] * 4)


def fuse(fusion, branches, size=(4, 4)):
    return fusion.fuse([ViewMaps(View(), branches)], size)


def test_face_offers_the_fusion():
    assert class_grouping.wsoltool_fusions() == [LevelFusion]


def test_equation_5_by_hand():
    # own + mean of groups: 0, 1, 0.9, 1; less rest: -1, 1, 0, 1; cut at 0 and scaled.
    expected = torch.tensor([[0.0, 1.0, 0.0, 1.0]] * 4)
    torch.testing.assert_close(fuse_levels(OWN, GROUPS, REST), expected)
    # Without rest: 0, 1, 0.9, 1.
    expected = torch.tensor([[0.0, 1.0, 0.9, 1.0]] * 4)
    torch.testing.assert_close(fuse_levels(OWN, GROUPS), expected)
    # One level and rest: -1, 0.2, -0.5, 1.
    torch.testing.assert_close(fuse_levels(OWN, (), REST), torch.tensor([[0.0, 0.2, 0.0, 1.0]] * 4))


def test_one_level_alone_is_its_own_map():
    torch.testing.assert_close(fuse_levels(OWN), OWN)


@pytest.mark.parametrize("others", [([torch.ones(4, 5)], None), ([], torch.ones(1, 4, 4))])
def test_shapes_must_agree(others):
    with pytest.raises(ShapeError, match="cannot be fused"):
        fuse_levels(OWN, *others)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), levels=st.integers(0, 4), with_rest=st.booleans())
def test_the_answer_is_a_map_whatever_the_order_of_groups(seed, levels, with_rest):
    generator = torch.Generator().manual_seed(seed)
    own, *groups, rest = torch.rand(levels + 2, 3, 5, 6, generator=generator)
    fused = fuse_levels(own, groups, rest if with_rest else None)
    assert fused.shape == own.shape
    assert (fused >= 0).all()
    assert (fused <= 1).all()
    torch.testing.assert_close(fused, fuse_levels(own, groups[::-1], rest if with_rest else None))
    torch.testing.assert_close(fuse_levels(own, [own] * levels), minmax_normalize(own))


@pytest.mark.parametrize(
    "branches",
    [("cam",), ("a", "b"), ("20/a", "20/b", "20/rest", "12/a", "12/b"), ("0/cam", "1/x/y")],
)
def test_contract(branches):
    check_fusion(LevelFusion(), branches)
    check_fusion(LevelFusion("bicubic", normalize_branches=False, rest_weight=0.5), branches)


def test_branches_by_hand():
    own_a, own_b = torch.tensor([[[0.0, 10.0, 5.0, 0.0]]]), torch.tensor([[[0.0, 0.0, 1.0, 0.0]]])
    branches = {
        "20/a": own_a,
        "20/b": own_b,
        "20/rest": torch.tensor([[[0.5, 0.0, 0.5, 0.0]]]),
        "12/a": torch.tensor([[[0.0, 0.0, 0.0, 4.0]]]),
    }
    # Branches scaled: (0 1 0.5 0) and (0 0 1 0), mean (0 0.5 0.75 0), scaled (0 2/3 1 0);
    # with the group's (0 0 0 1) and less rest: -0.5, 2/3, 0.5, 1.
    expected = torch.tensor([[[0.0, 2 / 3, 0.5, 1.0]]])
    torch.testing.assert_close(fuse(LevelFusion(), branches, (1, 4)), expected)
    # Raw branches: mean (0 5 3 0), scaled (0 1 0.6 0); 0 1 0.1 1.
    raw = fuse(LevelFusion(normalize_branches=False), branches, (1, 4))
    torch.testing.assert_close(raw, torch.tensor([[[0.0, 1.0, 0.1, 1.0]]]))
    # Without rest: 0, 2/3, 1, 1.
    without = fuse(LevelFusion(rest_weight=0), branches, (1, 4))
    torch.testing.assert_close(without, torch.tensor([[[0.0, 2 / 3, 1.0, 1.0]]]))


def test_levels_and_rest_are_pictured_each_for_itself():
    names = ("20/a", "20/b", "20/rest", "12/a", "12/b")
    branches = {name: torch.rand(1, 4, 4) for name in names}
    shown = LevelFusion().pictured([ViewMaps(View(), branches)], (4, 4))
    assert list(shown) == ["20", "12", "rest"]
    pair = [minmax_normalize(branches[name]) for name in ("12/a", "12/b")]
    torch.testing.assert_close(shown["12"], minmax_normalize(sum(pair)))
    torch.testing.assert_close(shown["rest"], branches["20/rest"])
    without = LevelFusion(rest_weight=0).pictured([ViewMaps(View(), branches)], (4, 4))
    assert list(without) == ["20", "12"]
    alone = {name: branches[name] for name in ("20/a", "20/b")}
    assert LevelFusion().pictured([ViewMaps(View(), alone)], (4, 4)) == {}


def test_a_plain_networks_maps_are_fused_as_usual():
    branches = {"a": torch.randn(2, 3, 3), "b": torch.randn(2, 5, 4)}
    usual = SingleView(normalize_branches=True)
    torch.testing.assert_close(fuse(LevelFusion(), branches, (9, 8)), fuse(usual, branches, (9, 8)))


def test_the_rest_of_another_level_than_the_first_is_refused():
    maps = {"0/a": OWN[None], "1/a": OWN[None], "1/rest": GROUPS[0][None]}
    with pytest.raises(ShapeError, match="level '1' has a branch 'rest'"):
        fuse(LevelFusion(), maps)


@pytest.mark.parametrize("branches", [{}, {"rest": torch.ones(1, 2, 2)}])
def test_no_maps_are_refused(branches):
    with pytest.raises(ShapeError, match="no maps to fuse"):
        fuse(LevelFusion(), branches)


def test_branches_of_other_counts_are_refused():
    branches = {"a": torch.ones(1, 2, 2), "b": torch.ones(2, 2, 2)}
    with pytest.raises(ShapeError, match="differ in their numbers"):
        fuse(LevelFusion(), branches)


@pytest.mark.parametrize(
    "options", [{"interpolation": "cubic"}, {"rest_weight": -1}, {"normalize_branches": 1}]
)
def test_bad_values_are_refused(options):
    with pytest.raises(ConfigError):
        LevelFusion(**options)


@pytest.mark.parametrize("options", [{}, {"normalize_branches": False}, {"rest_weight": 0.5}])
@pytest.mark.parametrize("size", [(90, 70), (14, 14), (5, 9)])
def test_sums_on_the_grid_are_sums_at_full_size(options, size):
    torch.manual_seed(0)
    names = [f"{level}/{branch}" for level in (20, 12, 8) for branch in "ab"]
    branches = {name: torch.randn(3, 14, 14) * 10 for name in names} | {
        "20/rest": torch.rand(3, 14, 14) / 2
    }
    resized = {name: resize_maps(raw, size) for name, raw in branches.items()}
    scaled = {
        name: minmax_normalize(raw) if options.get("normalize_branches", True) else raw
        for name, raw in resized.items()
    }
    levels = [
        minmax_normalize((scaled[f"{level}/a"] + scaled[f"{level}/b"]) / 2) for level in (20, 12, 8)
    ]
    rest = options.get("rest_weight", 1.0) * resized["20/rest"]
    expected = fuse_levels(levels[0], levels[1:], rest)
    fusion = LevelFusion(**options)
    torch.testing.assert_close(fuse(fusion, branches, size), expected, rtol=0, atol=5e-6)
    # Maps of different grids are resized first, each to the wanted size.
    finer = {**branches, "8/a": resize_maps(branches["8/a"], size)}
    torch.testing.assert_close(fuse(fusion, finer, size), expected, rtol=0, atol=5e-6)


def test_maps_of_one_grid_are_resized_once(monkeypatch):
    calls, resize = [], fusion_module.resize_maps
    monkeypatch.setattr(
        fusion_module, "resize_maps", lambda maps, *more: calls.append(1) or resize(maps, *more)
    )
    branches = {f"{level}/{branch}": torch.rand(1, 3, 3) for level in (4, 2) for branch in "ab"}
    fuse(LevelFusion(), branches, (30, 30))
    assert len(calls) == 1
    fuse(LevelFusion(interpolation="bicubic"), branches, (30, 30))
    assert len(calls) == 5
