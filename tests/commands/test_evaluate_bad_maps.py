"""``wsoltool evaluate`` where maps cannot be scored: every kind of bad map, under every policy."""

from __future__ import annotations

import numpy as np
import pytest

BAD = (
    "missing",
    "unreadable",
    "not float",
    "not 2-D",
    "empty",
    "NaN or infinity",
    "outside [0, 1]",
    "constant",
)


@pytest.fixture
def bad(four):
    """The four, and one image of every kind of bad map, in the order of ``BAD``."""
    sound = four.lit((0, 0, 9, 9))
    contents = (
        None,
        b"text",
        sound.astype(np.uint8),
        sound[None],
        np.zeros((0, 9)),
        np.array([[0, np.nan]]),
        2 * sound,
        np.full((9, 9), 0.5),
    )
    for index, values in enumerate(contents):
        four.add(f"bad/{index}.jpg", values, (0, 0, 9, 9))
    return four


def test_missing_maps_end_it_before_a_file_is_read(evaluate, bad, monkeypatch):
    monkeypatch.setattr("wsoltool.engine.maps.read_map", None)
    outcome, figures = evaluate(bad)
    assert outcome.code == 1
    assert outcome.err.startswith("error: 1 of 12 maps (1 missing) cannot be scored\n")
    assert "missing: bad/0.jpg.npy" in outcome.err
    assert figures["bad_maps"]["counts"] == {"missing": 1}


@pytest.mark.parametrize("workers", [0, 2])
def test_by_default_all_bad_maps_are_named_and_there_are_no_figures(evaluate, bad, workers):
    (bad.maps / "bad/0.jpg.npy").write_bytes(bad.packed(bad.lit((0, 0, 9, 9))))
    outcome, figures = evaluate(bad, "--workers", workers)
    assert outcome.code == 1
    assert outcome.out == ""
    kinds = [kind for kind in BAD if kind != "missing"]
    assert figures["bad_maps"]["counts"] == dict.fromkeys(kinds, 1)
    assert [entry["kind"] for entry in figures["bad_maps"]["maps"]] == kinds
    assert "rows" not in figures
    assert "GT-known Loc" not in figures
    for entry in figures["bad_maps"]["maps"]:
        assert f"\n  {entry['kind']}: {entry['file']}" in outcome.err
    assert "--bad-maps miss" in outcome.err


def test_a_miss_is_localised_by_nothing(evaluate, bad):
    outcome, figures = evaluate(bad, "--bad-maps", "miss")
    assert outcome.code == 0, outcome
    assert figures["images"] == 12
    assert figures["GT-known Loc"] == figures["MaxBoxAcc"] == 25
    assert figures["mean IoU"] == pytest.approx(250 / 12)
    assert figures["bad_maps"]["counts"] == dict.fromkeys(BAD, 1)
    told = (
        "Bad maps: 8 of 12 maps (1 missing, 1 unreadable, 1 not float, 1 not 2-D, 1 empty, 1 NaN or"
        " infinity, 1 outside [0, 1], 1 constant): counted as localised by nothing."
    )
    assert told in " ".join(outcome.out.split())


def test_skipped_images_are_left_out(evaluate, bad):
    outcome, figures = evaluate(bad, "--bad-maps", "skip")
    assert outcome.code == 0, outcome
    assert figures["images"] == 4
    assert figures["GT-known Loc"] == 75
    assert "left out." in outcome.out
    assert len(figures["bad_maps"]["maps"]) == 8


def test_normalising_makes_values_of_any_range_good(evaluate, bad):
    _, figures = evaluate(bad, "--bad-maps", "skip", "--normalise")
    assert "outside [0, 1]" not in figures["bad_maps"]["counts"]
    assert figures["images"] == 5
    assert figures["normalise"] is True


@pytest.mark.parametrize("policy", ["miss", "skip"])
def test_without_one_sound_map_there_are_no_figures(evaluate, split, policy):
    for index, values in enumerate((None, split.lit((0, 0, 9, 9)) * 3)):
        split.add(f"{index}.jpg", values, (0, 0, 9, 9))
    outcome, figures = evaluate(split, "--bad-maps", policy)
    assert outcome.code == 1
    assert "2 of 2 maps (1 missing, 1 outside [0, 1]) cannot be scored" in outcome.err
    assert "rows" not in figures


def test_a_flat_folder_of_maps_is_recognised_by_its_extra_files(evaluate, split):
    for index in range(7):
        split.add(f"x/{index}.jpg", split.lit((0, 0, 9, 9)), (0, 0, 9, 9), file=f"{index}.jpg.npy")
    outcome, figures = evaluate(split)
    assert outcome.code == 1
    assert "7 missing" in outcome.err
    assert "folders included" in outcome.err
    assert "warning: 7 maps belong to no image id: 0.jpg.npy, 1.jpg.npy" in outcome.err
    assert "and 2 more" in outcome.err
    assert figures["extra_maps"]["count"] == 7


def test_extra_maps_are_a_warning(evaluate, four):
    (four.maps / "x/other.npy").write_bytes(four.packed(four.lit((0, 0, 9, 9))))
    outcome, figures = evaluate(four)
    assert outcome.code == 0
    assert outcome.err == "warning: 1 map belongs to no image id: x/other.npy\n"
    assert figures["extra_maps"] == {"count": 1, "first": ["x/other.npy"]}
    assert figures["images"] == 4
