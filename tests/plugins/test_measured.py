"""Our own figures, plugins/<paper>/measured.csv: of configs that exist, of every seed alike."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

import pytest

import wsoltool_plugins
from wsoltool.commands.options import parse_options
from wsoltool.config import load_config
from wsoltool.evaluation.rows import FIXED, FULLSUP, IMAGE_ORACLE, ORACLE
from wsoltool.testing import measured_figures

FILES = sorted(Path(wsoltool_plugins.__path__[0]).glob("*/measured.csv"))


def test_there_are_some() -> None:
    assert {"adh", "ass", "fam", "mldfr", "revisited_cam"} <= {path.parent.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_each_figure_is_given_once_for_the_same_seeds(path: Path) -> None:
    figures = measured_figures(path)
    assert len({figure[:-1] for figure in figures}) == len(figures)
    by_row, by_training = defaultdict(set), defaultdict(set)
    for figure in figures:
        assert 0 <= figure.value <= 100
        assert figure.threshold in ("", FIXED, FULLSUP, ORACLE, IMAGE_ORACLE)
        row = figure.metric, figure.threshold, figure.subset
        by_row[figure.config, figure.options, row].add(figure.seed)
        by_training[figure.config, figure.options].add(figure.seed)
    for (config, options, _), seeds in by_row.items():
        assert seeds == by_training[config, options]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_the_manuals_means_are_those_of_the_figures(path: Path) -> None:
    values = defaultdict(list)
    for figure in measured_figures(path):
        values[figure[:2], figure[4:7]].append(figure.value)
    known = {f"{mean(v):.1f} ± {stdev(v):.1f}" for v in values.values() if len(v) > 1}
    manual = (path.parent / "README.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"[0-9.]+ ± [0-9.]+", manual))
    assert len(shown) > 20
    assert not shown - known


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_the_configs_and_options_exist(path: Path) -> None:
    for config, options in {figure[:2] for figure in measured_figures(path)}:
        load_config(config, parse_options(options.split()))
