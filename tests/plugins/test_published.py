"""The papers' own figures, plugins/<paper>/published.csv: well formed, and possible together."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from pathlib import Path

import pytest

import wsoltool_plugins
from wsoltool.testing import PublishedFigure, published_figures

FILES = sorted(Path(wsoltool_plugins.__path__[0]).glob("*/published.csv"))
CLS, KNOWN, LOC = "Top-1 Cls", "GT-known Loc", "Top-1 Loc"
#: Figures are printed with two digits, and rounded.
ROUNDING = 0.015
#: What the note of a figure says that cannot be, beside others of its method.
FLAG = "impossible"


Figures = list[PublishedFigure]


def impossible(figures: Figures) -> list[tuple[PublishedFigure, ...]]:
    """(Cls, GT-known, Loc) of one network that contradict each other and do not say so."""
    found: dict[tuple[str, ...], dict[str, Figures]] = defaultdict(lambda: defaultdict(list))
    for figure in figures:
        found[figure.method, figure.backbone, figure.dataset][figure.metric].append(figure)
    wrong = []
    for by_metric in found.values():
        for three in product(by_metric[CLS], by_metric[KNOWN], by_metric[LOC]):
            cls, known, loc = (float(figure.value) for figure in three)
            low, high = cls + known - 100, min(cls, known)
            fits = low - ROUNDING <= loc <= high + ROUNDING
            if not fits and not any(FLAG in figure.note for figure in three):
                wrong.append(three)
    return wrong


def test_there_are_some() -> None:
    assert {"fam", "mldfr"} <= {path.parent.name for path in FILES}


@pytest.fixture(params=FILES, ids=lambda path: path.parent.name)
def figures(request) -> Figures:
    return published_figures(request.param)


def test_every_figure_is_named_and_a_percentage(figures: Figures) -> None:
    for figure in figures:
        named = figure[:5]
        assert all(text and text == text.strip() for text in named), figure
        value = float(figure.value)
        assert 0 < value < 100, figure
        assert round(value, 2) == value, figure


def test_no_figure_is_there_twice(figures: Figures) -> None:
    keys = [figure[:5] for figure in figures]
    assert len(set(keys)) == len(keys), {key for key in keys if keys.count(key) > 1}


def test_errors_are_turned_into_accuracies(figures: Figures) -> None:
    """``printed as error 24.79`` says what the paper has; ours is 100 minus that."""
    for figure in figures:
        _, said, text = figure.note.partition("printed as error ")
        if said and "corrected" not in figure.note:
            assert float(figure.value) == pytest.approx(100 - float(text.split(";")[0])), figure


def test_what_one_network_scores_is_possible(figures: Figures) -> None:
    """Right boxes of right classes: cls + GT-known - 100 <= Top-1 Loc <= min(cls, GT-known)."""
    assert not impossible(figures)


@pytest.mark.parametrize(
    ("loc", "note", "count"),
    [(60, "", 0), (50.5, "", 0), (50.4, "", 0), (70.1, "", 1), (50.3, "", 1), (90, FLAG, 0)],
)
def test_the_test_finds_what_is_impossible(loc: float, note: str, count: int) -> None:
    values = {CLS: 80.4, KNOWN: 70.0, LOC: loc}
    made = [PublishedFigure("I", "m", "b", "d", m, str(v), note) for m, v in values.items()]
    other = PublishedFigure("I", "m", "another", "d", LOC, "5", "")
    assert len(impossible([*made, other])) == count
