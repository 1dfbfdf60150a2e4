"""stage.json: written whole, read back, and refused where it is damaged; what differs is told."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.engine.stage_records import (
    Artefact,
    StageRecord,
    artefact_of,
    differences,
    is_unchanged,
    plain_settings,
    read_record,
    write_record,
)
from wsoltool.errors import CheckpointError, ConfigError, WorkDirError

RECORD = StageRecord(
    "second",
    settings={"lr": 0.1, "scales": [1, 2]},
    needs={"first": "abc"},
    artefacts={"last.pth": Artefact(3, "def")},
    state="finished",
)
#: SHA-256 of the three letters, from the standard's own example.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
VALUES = st.recursive(
    st.sampled_from([None, False, True, 0, 1, 2.5, "a", "b", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=3)
    ),
    max_leaves=8,
)
SETTINGS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def test_a_record_is_read_back(tmp_path):
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["stage.json"]


def test_a_folder_that_is_empty_or_missing_has_no_record(tmp_path):
    assert read_record(tmp_path / "none") is None
    # What is left where a process was killed while it wrote.
    (tmp_path / ".stage.json.17.part").write_text("{")
    assert read_record(tmp_path) is None


def test_files_of_something_else_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(WorkDirError, match="something else"):
        read_record(tmp_path)
    with pytest.raises(WorkDirError, match="a file stands"):
        read_record(tmp_path / "thesis.txt")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: "{",
        lambda content: "[]",
        lambda content: json.dumps({**content, "format": "wsoltool stage 2"}),
        lambda content: json.dumps({**content, "state": "done"}),
        lambda content: json.dumps({**content, "settings": 3}),
        lambda content: json.dumps({**content, "artefacts": {"last.pth": {"size": 3}}}),
        lambda content: json.dumps({**content, "artefacts": ["last.pth"]}),
        lambda content: json.dumps({**content, "more": 1}),
        lambda content: json.dumps({k: v for k, v in content.items() if k != "name"}),
        lambda content: b"\xff\xfe",
    ],
)
def test_a_damaged_record_is_refused(tmp_path, change):
    write_record(tmp_path, RECORD)
    path = tmp_path / "stage.json"
    text = change(json.loads(path.read_text()))
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        read_record(tmp_path)
    assert caught.value.at == str(path)
    assert f"--redo {tmp_path.name}" in caught.value.hint


def test_identity_follows_from_all_that_was_left():
    others = [
        replace(RECORD, name="third"),
        replace(RECORD, settings={"lr": 0.2, "scales": [1, 2]}),
        replace(RECORD, needs={"first": "abd"}),
        replace(RECORD, artefacts={"last.pth": Artefact(3, "dee")}),
        replace(RECORD, artefacts={"other.pth": Artefact(3, "def")}),
    ]
    assert len({record.identity for record in [RECORD, *others]}) == 6
    assert replace(RECORD, version="9", state="running").identity == RECORD.identity
    turned = {"scales": [1, 2], "lr": 0.1}
    assert replace(RECORD, settings=turned).identity == RECORD.identity


def test_artefacts_are_known_by_size_and_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("abc")
    found = artefact_of(path)
    assert found == Artefact(3, ABC)
    assert is_unchanged(path, found)
    path.write_text("abd")
    assert not is_unchanged(path, found)
    path.unlink()
    assert not is_unchanged(path, found)


def test_settings_must_be_plain_data():
    assert plain_settings({"a": (1, 2), 3: None}, "x") == {"a": [1, 2], "3": None}
    with pytest.raises(ConfigError, match="no plain data") as caught:
        plain_settings({"a": object()}, "settings of stage 'x'")
    assert caught.value.at == "settings of stage 'x'"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": 1}, {"a": 1.0}, ["a: 1 -> 1.0"]),
        ({"a": 1}, {"a": True}, ["a: 1 -> True"]),
        ({"a": {}}, {"a": {"b": 1}}, ["a.b: (none) -> 1"]),
        ({"a": {"b": 1}}, {"a": None}, ["a: {'b': 1} -> None"]),
        ({"a": [{"b": 1}, {"c": 2}]}, {"a": [{"b": 1}, {"c": 3}]}, ["a[1].c: 2 -> 3"]),
        ({"a": [{"b": 1}]}, {"a": []}, ["a[0]: {'b': 1} -> (none)"]),
        ({"a": [1, 2]}, {"a": [1, 3, None]}, ["a[1]: 2 -> 3", "a[2]: (none) -> None"]),
        ({"a": {}}, {"a": []}, ["a: {} -> []"]),
        ({"a": "x" * 99}, {}, [f"a: '{'x' * 55} ... -> (none)"]),
    ],
)
def test_differences_name_keys_and_values(old, new, told):
    assert list(differences(old, new)) == told


def test_long_values_are_cut_around_their_first_difference():
    same = "/data/" + "x" * 80
    (told,) = differences({"a": same + "/one/" + "y" * 80}, {"a": same + "/two/" + "y" * 80})
    old, new = told.removeprefix("a: ").split(" -> ")
    assert old == f"... {'x' * 19}/one/{'y' * 28} ..."
    assert new == f"... {'x' * 19}/two/{'y' * 28} ..."
    # One is where the other ends.
    (told,) = differences({"a": same}, {"a": same + "z"})
    assert told == f"a: ... {'x' * 20}' -> ... {'x' * 20}z'"


@given(st.integers(0, 200), st.text("ab", max_size=99), st.text("ab", max_size=99))
def test_values_that_differ_are_shown_differently(length, old, new):
    same = "x" * length
    for told in differences({"a": same + old}, {"a": same + new}):
        old_shown, new_shown = told.removeprefix("a: ").split(" -> ")
        assert old_shown != new_shown
        assert max(len(old_shown), len(new_shown)) <= 60


@given(SETTINGS, SETTINGS)
def test_there_are_differences_exactly_where_settings_differ(old, new):
    assert bool(list(differences(old, new))) == (
        json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True)
    )
    assert list(differences(old, old)) == []
