"""Named groups of inserts: their order, what is left out, paths in messages, names of weights."""

import itertools

import pytest
import torch

from wsoltool.errors import ConfigError
from wsoltool.models.builder import build_localizer
from wsoltool.models.insert_groups import insert_entries, insert_problems

NORM = {"at": "stage*", "module": {"type": "BatchNorm"}}
DROP = {"at": "stage2", "module": {"type": "DropBlock", "block_size": 1}}
GATE = {"at": "stage2", "module": {"type": "SqueezeExcitation", "reduction": 2}}
MINIMAL = {
    "backbone": {"type": "SmallNet", "channels": (4, 6, 8)},
    "head": {"type": "cam.CAMHead", "num_classes": 5},
}


def built(inserts):
    torch.manual_seed(0)
    return build_localizer({**MINIMAL, "inserts": inserts})


def paths(inserts):
    return [path for path, _ in insert_entries(inserts, "model.inserts")]


def problem(inserts):
    (found,) = insert_problems(inserts, "model.inserts")
    return found


@pytest.mark.parametrize(
    ("inserts", "expected"),
    [
        (None, []),
        ([], []),
        ({}, []),
        ({"bn": None, "sa": None}, []),
        ([NORM, DROP], ["[0]", "[1]"]),
        ({"bn": NORM, "drop": None, "sa": [GATE, DROP]}, [".bn", ".sa[0]", ".sa[1]"]),
        ({"sa": (GATE, DROP), "bn": NORM}, [".sa[0]", ".sa[1]", ".bn"]),
    ],
)
def test_entries_and_their_paths_in_order(inserts, expected):
    assert paths(inserts) == [f"model.inserts{path}" for path in expected]


def test_entries_are_those_of_the_config():
    entries = insert_entries({"bn": NORM, "rest": [DROP, GATE]}, "x")
    assert [entry for _, entry in entries] == [NORM, DROP, GATE]


@pytest.mark.parametrize("order", list(itertools.permutations(("bn", "drop", "se"))))
def test_groups_and_the_list_of_their_order_are_the_same_model(order):
    groups = {"bn": NORM, "drop": [DROP], "se": [GATE]}
    grouped = built({name: groups[name] for name in order})
    listed = built([{"bn": NORM, "drop": DROP, "se": GATE}[name] for name in order])
    assert [*grouped.inserts] == [*listed.inserts]
    assert [type(m) for m in grouped.inserts.values()] == [type(m) for m in listed.inserts.values()]
    first, second = grouped.state_dict(), listed.state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)
    images = torch.randn(2, 3, 32, 32)
    outcome = [model.eval().backbone(images)["last"] for model in (grouped, listed)]
    assert torch.equal(*outcome)


def test_inserts_at_one_point_act_in_the_order_of_the_groups():
    kinds = {
        order: [type(insert).__name__ for insert in built(groups).inserts.values()]
        for order, groups in {
            "gate first": {"z": GATE, "a": {**NORM, "at": "stage2"}},
            "norm first": {"a": {**NORM, "at": "stage2"}, "z": GATE},
        }.items()
    }
    assert kinds["gate first"] == ["SqueezeExcitation", "BatchNorm"]
    assert kinds["norm first"] == ["BatchNorm", "SqueezeExcitation"]


def test_a_group_that_is_none_is_left_out():
    assert [*built({"bn": NORM, "se": None}).inserts] == ["stage1", "stage2", "stage3"]
    assert [*built({"bn": None, "se": GATE}).inserts] == ["stage2"]
    assert built({"bn": None, "se": None}).inserts is None


@pytest.mark.parametrize("name", ["head", "backbone", "fusion", "loss", "type", "items"])
def test_groups_may_have_the_names_of_other_parts(name):
    assert paths({name: NORM}) == [f"model.inserts.{name}"]
    assert len(built({name: NORM}).inserts) == 3


@pytest.mark.parametrize(
    ("inserts", "at", "says"),
    [
        (3, "", "inserts is 3"),
        ("stage1", "", "inserts is 'stage1'"),
        ({"bn": 3}, ".bn", "3 is no insert"),
        ({"bn": "stage1"}, ".bn", "'stage1' is no insert"),
        ({"bn": False}, ".bn", "False is no insert"),
        ({"bn": {}}, ".bn", "the group 'bn' is empty"),
        ({"bn": []}, ".bn", "the group 'bn' is empty"),
        ({"bn": [None]}, ".bn[0]", "None is no insert"),
        ({"bn": [NORM, [DROP]]}, ".bn[1]", "is no insert"),
        ({"bn": {"inner": NORM}}, ".bn.inner", "unknown key 'inner'"),
        ({"bn": {**NORM, "modul": 1}}, ".bn.modul", "did you mean 'module'?"),
        ({"sa": [NORM, {"at": "stage1"}]}, ".sa[1]", "an insert has no module"),
        ({"sa": [{**NORM, "at": 2}]}, ".sa[0].at", "at is 2"),
        ({"sa": {**NORM, "at": []}}, ".sa.at", "at is []"),
        ({"sa": {**NORM, "at": ["stage1", None]}}, ".sa.at", "at is ['stage1', None]"),
        ({"s a": NORM}, ".s a", "a group of inserts is named 's a'"),
        ({"a.b": NORM}, ".a.b", "a group of inserts is named 'a.b'"),
        ({1: NORM}, ".1", "a group of inserts is named 1"),
        ({"module": NORM}, ".module", "cannot be named 'module'"),
    ],
)
def test_what_is_no_insert_is_told_with_its_path(inserts, at, says):
    first = next(iter(insert_problems(inserts, "model.inserts")))
    assert first.at == f"model.inserts{at}"
    assert says in str(first)
    with pytest.raises(ConfigError) as caught:
        insert_entries(inserts, "model.inserts")
    assert str(caught.value) == str(first)


def test_a_single_insert_without_list_or_group_is_refused_with_the_remedy():
    found = list(insert_problems(NORM, "model.inserts"))
    assert [error.at for error in found] == ["model.inserts.at", "model.inserts.module"]
    assert "in a list, or under its group's name" in str(found[0])


def test_the_hint_for_an_empty_group_is_none():
    assert problem({"bn": []}).hint == "None leaves a group out"


def test_all_problems_are_found():
    wrong = {"bn": {"at": "x"}, "sa": [3, {"module": {}}], "1": NORM}
    found = [error.at for error in insert_problems(wrong, "i")]
    assert found == ["i.1", "i.bn", "i.sa[0]", "i.sa[1]"]


@pytest.mark.parametrize(
    ("entry", "at"),
    [
        ({"at": "stage9", "module": {"type": "BatchNorm"}}, "sa[1].at"),
        ({"at": "stage2", "module": {"type": "BatchNrom"}}, "sa[1].module.type"),
        ({"at": "stage2", "module": {"type": "DropBlock", "block_size": 4}}, "sa[1].module"),
        ({"at": "stage2", "module": {"type": "DropBlock", "size": 4}}, "sa[1].module.size"),
    ],
)
def test_inserts_that_cannot_be_built_name_group_and_place(entry, at):
    with pytest.raises((ConfigError, LookupError)) as caught:
        built({"bn": NORM, "sa": [DROP, entry]})
    assert caught.value.at == f"model.inserts.{at}"


@pytest.mark.parametrize(
    ("at", "points"),
    [
        (["stage1", "stage3"], ["stage1", "stage3"]),
        (("stage3", "stage1"), ["stage3", "stage1"]),
        (["stage2"], ["stage2"]),
        (["stage[23]", "stage*"], ["stage2", "stage3", "stage1"]),  # none of them twice
        (["relu2", "stage2"], ["relu2"]),  # one module
        (["@BatchNorm2d", "stage1"], ["bn1", "bn2", "bn3", "stage1"]),
    ],
)
def test_an_insert_may_be_at_several_points(at, points):
    assert [*built([{**NORM, "at": at}]).inserts] == points
    assert [*built({"group": {**NORM, "at": at}}).inserts] == points


def test_an_insert_at_several_points_is_one_for_each():
    listed = built([{**NORM, "at": ["stage1", "stage2"]}])
    alone = built([{**NORM, "at": "stage1"}, {**NORM, "at": "stage2"}])
    assert [m.num_features for m in listed.inserts.values()] == [4, 6]
    images = torch.randn(2, 3, 32, 32)
    outcome = [model.train().extract(images)["last"] for model in (listed, alone)]
    assert torch.equal(*outcome)


def test_an_unknown_point_among_several_is_told():
    with pytest.raises(ConfigError, match="no insert point 'stage9'") as caught:
        built({"group": {**NORM, "at": ["stage1", "stage9"]}})
    assert caught.value.at == "model.inserts.group.at"
