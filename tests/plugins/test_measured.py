"""Our own figures, plugins/<paper>/measured.csv: of configs that exist, of every seed alike."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

import wsoltool_plugins
from wsoltool.commands.options import parse_options
from wsoltool.config import load_config

FILES = sorted(Path(wsoltool_plugins.__path__[0]).glob("*/measured.csv"))
COLUMNS = ["config", "options", "dataset", "seed", "metric", "threshold", "subset", "value"]


class Figure(NamedTuple):
    config: str
    options: str
    dataset: str
    seed: int
    metric: str
    threshold: str
    subset: str
    value: float


def parse(path: Path) -> list[Figure]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == COLUMNS
    return [Figure(*row[:3], int(row[3]), *row[4:7], float(row[7])) for row in rows]


def test_there_are_some() -> None:
    assert {"fam", "mldfr"} <= {path.parent.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_each_figure_is_given_once_for_the_same_seeds(path: Path) -> None:
    figures = parse(path)
    assert len({figure[:-1] for figure in figures}) == len(figures)
    seeds = defaultdict(set)
    for figure in figures:
        assert 0 <= figure.value <= 100
        assert figure.threshold in ("", "fixed", "fullsup")
        seeds[figure.config, figure.options, figure.metric, figure.threshold, figure.subset].add(
            figure.seed
        )
    for (config, options, *_), found in seeds.items():
        others = {s for (c, o, *_), s in seeds.items() if (c, o) == (config, options) for s in s}
        assert found == others


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_the_configs_and_options_exist(path: Path) -> None:
    for config, options in {figure[:2] for figure in parse(path)}:
        load_config(config, parse_options(options.split()))
