import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import ConfigError, DataError
from wsoltool_plugins.class_grouping.grouping import (
    Grouping,
    cluster_rows,
    compose,
    read_groups,
    write_groups,
)

PETS = Grouping(("cat", "car", "dog", "bus"), ((0, 1, 0, 2), (0, 1, 0, 1)), (3, 3))


def test_clusters_by_hand():
    vectors = np.array([[9.0, 9.0], [0.0, 0.0], [9.0, 8.5], [0.5, 0.0], [-40.0, 0.0]])
    assert cluster_rows(vectors, 3).tolist() == [0, 1, 0, 1, 2]
    assert cluster_rows(vectors, 1).tolist() == [0] * 5
    assert cluster_rows(vectors, 5).tolist() == [0, 1, 2, 3, 4]


def within(vectors, ids):
    """Eq. (2), squared, the long way."""
    total = 0.0
    for group in set(ids.tolist()):
        members = [v for v, own in zip(vectors, ids, strict=True) if own == group]
        centre = sum(members) / len(members)  # Eq. (1)
        total += sum(((v - centre) ** 2).sum() for v in members)
    return total


def partitions(count, clusters):
    """Every way to put ``count`` things into exactly so many groups."""
    ways = [[0]]
    for _ in range(count - 1):
        ways = [[*way, group] for way in ways for group in range(max(way) + 2)]
    return [np.array(way) for way in ways if max(way) + 1 == clusters]


@pytest.mark.parametrize("clusters", [2, 3])
def test_equation_2_is_as_small_as_any_grouping_makes_it(clusters):
    rng = np.random.default_rng(4)
    centres = np.repeat(rng.normal(size=(clusters, 3)) * 10, 2, axis=0)
    vectors = centres + rng.normal(size=centres.shape)
    best = min(within(vectors, ids) for ids in partitions(len(vectors), clusters))
    assert within(vectors, cluster_rows(vectors, clusters)) == pytest.approx(best)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), count=st.integers(2, 9), share=st.floats(0, 1))
def test_clusters_are_numbered_full_and_the_same_again(seed, count, share):
    clusters = 1 + round(share * (count - 1))
    vectors = np.random.default_rng(seed).normal(size=(count, 4))
    ids = cluster_rows(vectors, clusters, seed)
    assert ids.dtype == np.int64
    assert list(dict.fromkeys(ids.tolist())) == list(range(clusters))
    assert np.array_equal(ids, cluster_rows(vectors.astype(np.float64), clusters, seed))
    moved = cluster_rows(3 * vectors + 7, clusters, seed)
    assert within(vectors, moved) == pytest.approx(within(vectors, ids), rel=0.5)


@pytest.mark.parametrize("clusters", [0, 4, True, 2.0])
def test_impossible_numbers_are_refused(clusters):
    with pytest.raises(ConfigError, match="of 3 vectors"):
        cluster_rows(np.eye(3), clusters)


@pytest.mark.parametrize("vectors", [np.full((3, 2), np.nan), np.ones(3)])
def test_vectors_must_be_numbers(vectors):
    with pytest.raises(DataError, match="cannot be grouped"):
        cluster_rows(vectors, 2)


def test_equal_vectors_leave_no_empty_cluster_but_an_error():
    with pytest.raises(DataError, match="3 vectors make 2 clusters, not 3"):
        cluster_rows(np.array([[0.0], [1.0], [1.0]]), 3)


def test_levels_compose():
    assert compose([0, 1, 1], [0, 1, 0, 2]) == (0, 1, 0, 1)
    assert Grouping(PETS.classes).with_level([0, 1, 0, 2], 3).with_level([0, 1, 1], 3) == PETS


def test_names_counts_and_members():
    assert PETS.counts == (4, 3, 2)
    assert PETS.names(0) == PETS.classes
    assert PETS.names(1) == ("{cat, dog}", "car", "bus")
    assert PETS.names(2) == ("{cat, dog}", "{car, bus}")
    assert PETS.members(1) == [[0, 2], [1], [3]]
    assert PETS.ids(0) == (0, 1, 2, 3)
    assert PETS.first_levels(1).counts == (4, 3)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_composed_grouping_is_sound_and_survives_its_file(data, tmp_path_factory):
    count = data.draw(st.integers(1, 8))
    grouping = Grouping(tuple(f"class {i}" for i in range(count)))
    for _ in range(data.draw(st.integers(0, 3))):
        groups = grouping.counts[-1]
        drawn = data.draw(st.lists(st.integers(0, groups), min_size=groups, max_size=groups))
        numbers = {group: i for i, group in enumerate(dict.fromkeys(drawn))}
        grouping = grouping.with_level([numbers[group] for group in drawn], 5)
    path = tmp_path_factory.mktemp("groups") / "groups.json"
    write_groups(grouping, path)
    assert read_groups(path) == grouping


def test_the_file_says_it_all_in_order(tmp_path):
    write_groups(PETS, tmp_path / "groups.json")
    assert json.loads((tmp_path / "groups.json").read_text()) == {
        "version": 1,
        "classes": ["cat", "car", "dog", "bus"],
        "levels": [
            {"clusters": 3, "seed": 3, "ids": [0, 1, 0, 2]},
            {"clusters": 2, "seed": 3, "ids": [0, 1, 0, 1]},
        ],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["groups.json"]


def spoiled(**changes):
    content = {
        "version": 1,
        "classes": ["cat", "car", "dog"],
        "levels": [{"clusters": 2, "seed": 0, "ids": [0, 1, 0]}],
    }
    level = {k: v for k, v in changes.items() if k in ("clusters", "seed", "ids")}
    content["levels"][0].update(level)
    content.update({k: v for k, v in changes.items() if k not in level})
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "unreadable groups"),
        ("[]", "holds no groups"),
        (spoiled(version=2), "holds no groups"),
        (spoiled(levels=[[0, 1, 0]]), "holds no groups"),
        (spoiled(classes=["cat", "cat", "dog"]), "no names of their own"),
        (spoiled(classes=["cat", 3, "dog"]), "no names of their own"),
        (spoiled(classes=["cat", "dog"]), "level 1 has 3 ids"),
        (spoiled(ids=[0, 1]), "level 1 has 2 ids"),
        (spoiled(ids=[0, 1.5, 0]), "level 1 has 3 ids"),
        (spoiled(ids=[1, 0, 1]), "not numbered by their first class"),
        (spoiled(ids=[0, 2, 0], clusters=3), "not numbered by their first class"),
        (spoiled(clusters=3), r"says clusters \[3\] and lists \[2\]"),
        (spoiled(seed="0"), "seeds"),
    ],
)
def test_a_damaged_file_is_refused_by_its_name(tmp_path, text, message):
    path = tmp_path / "groups.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_groups(path)
    assert caught.value.at == str(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no file of groups"):
        read_groups(tmp_path / "groups.json")


def test_a_later_level_cannot_part_a_group():
    with pytest.raises(DataError, match="level 2 parts 'dog'"):
        Grouping(("cat", "car", "dog"), ((0, 1, 0), (0, 0, 1)), (0, 0))


@pytest.mark.parametrize("level", [-1, 3, True, None])
def test_there_are_no_other_levels(level):
    with pytest.raises(DataError, match="no level"):
        PETS.ids(level)


def test_reading_groups_takes_no_scikit_learn():
    code = "import sys, wsoltool_plugins.class_grouping.grouped; sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
