"""The README's switches do what their rows say, on every network; configs keep probabilities."""

from __future__ import annotations

from pathlib import Path

import pytest

import wsoltool_plugins
from wsoltool.commands.options import parse_options
from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.preflight import check
from wsoltool.testing import published_figures, section_tables, switches
from wsoltool_plugins.fam.fam import FAMHead, ForegroundConvs, ForegroundMemory

HOME = Path(wsoltool_plugins.__path__[0]) / "fam"
CONFIGS = [name for name in bundled_configs() if name.startswith("fam/")]
PAPERS = [
    f"fam/fam_{network}_{data}.py"
    for network in ("vgg16", "mobilenetv1", "resnet50", "inceptionv3")
    for data in ("cub", "ilsvrc")
]
#: What rows of the paper leave out -> their switches in the README.
LEFT_OUT = {
    "sparsity, memory, diversity, importance": "no sparsity loss, no memory",
    "memory, diversity, importance": "sparsity loss, no memory",
    "diversity, importance": "both; no diversity, no importance",
    "diversity": "importance, no diversity loss",
    "importance": "diversity loss, no importance",
    "": "all",
}
(TABLE,) = section_tables(HOME / "README.md", "Ablations")
SWITCHES = {row["row"]: switches(row["switch"]) for row in TABLE}


def head_of(name: str, options: list[str]) -> FAMHead:
    config = load_config(name, parse_options(options))
    check(config, "train")
    settings = {k: v for k, v in plain(config.model.head).items() if k != "type"}
    return FAMHead({"last": 32}, **settings)


def missing(head: FAMHead) -> str:
    """The parts of the method that a head goes without, as the data file names them."""
    there = {
        "sparsity": bool(head.sparsity),
        "memory": isinstance(head.foreground, ForegroundMemory),
        "diversity": bool(head.diversity),
        "importance": head.attention.importance is not None,
    }
    assert there["memory"] or isinstance(head.foreground, ForegroundConvs)
    return ", ".join(name for name, present in there.items() if not present)


@pytest.mark.parametrize("left_out", LEFT_OUT, ids=lambda text: text or "nothing")
def test_a_row_leaves_out_what_it_says(left_out: str) -> None:
    assert missing(head_of("fam/fam_vgg16_cub.py", SWITCHES[LEFT_OUT[left_out]])) == left_out


def test_every_row_of_the_papers_tables_has_switches() -> None:
    methods = {figure.method for figure in published_figures(HOME / "published.csv")}
    rows = {method for method in methods if method == "FAM" or method.startswith("FAM ")}
    assert rows == {f"FAM without {names}" if names else "FAM" for names in LEFT_OUT}


def test_figure_7s_numbers_are_switches_too() -> None:
    options = [option for row in ("N, K", "weights of the losses") for option in SWITCHES[row]]
    head = head_of("fam/fam_vgg16_cub.py", options)
    assert len(head.foreground.keys) == 1
    assert head.attention.discovery.out_channels == 3
    assert (head.sparsity, head.diversity) == (0.02, 0.1)
    assert set(SWITCHES) == {*LEFT_OUT.values(), "N, K", "weights of the losses"}


def test_the_papers_networks_are_there_and_others() -> None:
    assert set(PAPERS) < set(CONFIGS)


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_configs_are_the_papers(name: str) -> None:
    """Section 4.1 and Figure 7: N = 3, K = 5, weights 0.04 and 0.01."""
    head = head_of(name, [])
    assert missing(head) == ""
    assert (len(head.foreground.keys), head.attention.discovery.out_channels) == (3, 5)
    assert (head.sparsity, head.diversity) == (0.04, 0.01)
    assert head.num_classes == (200 if name.endswith("_cub.py") else 1000)


@pytest.mark.parametrize("name", CONFIGS)
def test_boxes_are_cut_at_half_of_a_probability(name: str) -> None:
    """Sections 3.3 and 4.2: bilinear, a fixed threshold of 0.5, the largest region."""
    model = load_config(name).model
    assert model.fusion.normalize == "none"
    assert model.fusion.get("interpolation", "bilinear") == "bilinear"
    assert (model.boxes.threshold, model.boxes.instances) == (0.5, "largest")
    assert not model.get("inserts")
