"""Measure the toolbox beside a reference: ``python tools/benchmark.py [NAME ...] [--json FILE]``.

How to read the table. Every line compares *ours* with a *reference* that does the same work in the
same run on the same machine, by turns, so that both meet the same load. *ours* and *reference* are
medians over the rounds; *ratio* says how many times as fast ours is, 2 being twice as fast, and is
the median of the rounds' own ratios. Ratios can be compared between machines, the other columns
cannot.

training-loop
    Images per second (wall time) of the training loop that ``wsoltool train`` runs, beside a bare
    loop of torch on the same model and data. 0.95 means that logs, progress and hooks take 5 %.
    On a CPU torch has one thread here, for with more than there are free cores it mostly waits.
help, plugins
    Wall time of ``wsoltool --help`` and ``wsoltool plugins`` in a new process, beside a Python
    that does nothing: the least that any command can take.
creatures
    Embedded images drawn in a second by one core, beside reading the same images from PNG files.
sweep-all, sweep-largest, sweep-tight
    Maps of 224 x 224 swept over 1000 thresholds in a second by one core, beside the obvious loop
    over thresholds: all contours and the largest one with the rules of wsolevaluation, the largest
    component with those of tight. Both have to answer the same numbers.
open
    Seconds (wall time) until a training split of ILSVRC's 1,281,167 images is there from the index
    that ``wsoltool prepare`` writes, beside reading the same from text metadata.
data
    Photos read, resized, cropped and flipped in a second (wall time) by two workers, beside
    torchvision's ImageFolder with the same transforms.
backbones
    Images from which a backbone makes features in a second by one core, beside torchvision's own
    network on the same weights, its classifier removed: a line for each network. Both have to
    answer the same features. With a GPU it is wall time.
mscam
    Images whose scores and maps at three scales (224, 336 and 448 pixels; MsCAM) are made in a
    second by one core: resized, all views run, maps fused at 500 x 500 for the asked classes;
    beside three plain forwards to logits of images that have those sizes. mLDFR's VGG16 and
    MobileNetV2. Scores and maps have to be those of the forwards. With a GPU it is wall time.
fam
    Images from which VGG16 at 224 pixels makes features, and FAM's head (3 templates, 5 parts)
    logits and maps of them, in a second by one core; beside the features alone. With a GPU it is
    wall time.
levels
    Images whose scores and fused maps at 500 x 500 for the asked classes an Ensemble of four
    members makes in a second by one core, each of two ResNet50 side by side at 224 pixels (class
    grouping's levels of 20, 12, 8 and 5 classes), beside the plain forwards of the eight
    backbones. With CAM, and with Grad-CAM of both branches; the latter's backward comes on top and
    has no target. With a GPU it is wall time.
two-stage
    Milliseconds of a core for the boxes of an image, 224 x 224 pixels, whose threshold is chosen by
    512 features on a grid of 14 x 14 (revisited CAM), the map on that grid included: boxes of the
    grid's cells, and of pixels. Beside boxes of a fixed threshold from the same maps.
channels-last, bf16
    The same backbones with their channels last in memory, or under autocast to bfloat16, beside
    plain ones: the ratio is the gain on this machine. They have no target.

A *CPU s* is a second, a *CPU ms* a thousandth of one, for which the thread really had a core. Other
jobs on the machine still slow it down through shared caches and clocks, by a third in our
experience; wall times they change by any factor. The line below the table tells the load (runnable
processes over the last minute) beside the number of cores: where it is the larger one, only the
ratios are worth keeping.
``--quick`` checks in seconds that everything still runs; its figures mean nothing.

``--json`` writes ``machine`` (what the caption says), ``quick``, and ``measurements``, a list of
``name``, ``ours``, ``reference``, ``ratio``, ``unit``, ``target`` (text) and ``met``, these two
null where there is no target. A benchmark with several lines calls each ``NAME PART``.

A new benchmark is a function ``(quick: bool) -> Measurement``, or a list of several, in
``tools/benchmarks``, a line in ``BENCHMARKS`` below and a paragraph above.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks.backbones import run_backbones, run_bf16, run_channels_last
from benchmarks.commands import wait_for_help, wait_for_plugins
from benchmarks.drawing import draw_creatures
from benchmarks.extraction import run_two_stage
from benchmarks.levels import run_levels
from benchmarks.loading import load_photos
from benchmarks.measurement import Measurement
from benchmarks.methods import run_fam, run_mscam
from benchmarks.opening import open_index
from benchmarks.sweep import sweep_all_contours, sweep_largest_contour, sweep_tight
from benchmarks.training import train_localizer
from rich import box
from rich.console import Console
from rich.table import Table

BENCHMARKS: dict[str, Callable[[bool], Measurement | list[Measurement]]] = {
    "training-loop": train_localizer,
    "help": wait_for_help,
    "plugins": wait_for_plugins,
    "creatures": draw_creatures,
    "sweep-all": sweep_all_contours,
    "sweep-largest": sweep_largest_contour,
    "sweep-tight": sweep_tight,
    "open": open_index,
    "data": load_photos,
    "backbones": run_backbones,
    "mscam": run_mscam,
    "fam": run_fam,
    "levels": run_levels,
    "two-stage": run_two_stage,
    "channels-last": run_channels_last,
    "bf16": run_bf16,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, all by default; print the table, write the JSON file."""
    arguments = parse(argv)
    names = arguments.names or list(BENCHMARKS)
    facts = machine()
    measurements: list[Measurement] = []
    progress = Console(stderr=True)
    for name in names:
        with progress.status(f"measuring {name}"):
            made = BENCHMARKS[name](arguments.quick)
        measurements += made if isinstance(made, list) else [made]
    facts["load_after"] = load()
    Console().print(table(measurements, facts))
    if arguments.json:
        content = {
            "machine": facts,
            "quick": arguments.quick,
            "measurements": [measurement.plain() for measurement in measurements],
        }
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure the toolbox beside references.",
        epilog="The figures are explained at the top of this file.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: only check that it runs")
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    return arguments


def table(measurements: Sequence[Measurement], facts: dict[str, Any]) -> Table:
    """One line for each measurement, and below them what their wall times depend on."""
    caption = (
        "{cores} cores, load {load_before:.1f} before and {load_after:.1f} after; "
        "{device}, {threads} threads of torch {torch}, Python {python}"
    ).format(**facts)
    shown = Table(
        box=box.SIMPLE_HEAD, caption=caption, caption_justify="left", padding=(0, 1, 0, 0)
    )
    for title, justify in (
        ("name", "left"),
        ("ours", "right"),
        ("reference", "right"),
        ("unit", "left"),
        ("ratio", "right"),
        ("target", "left"),
        ("met", "left"),
    ):
        shown.add_column(title, justify=justify, no_wrap=title != "name")
    for m in measurements:
        figures = f"{m.ours:.3g}", f"{m.reference:.3g}", m.unit, f"{m.ratio:.2f}"
        verdict = (str(m.target), "yes" if m.met else "NO") if m.target else ("-", "-")
        shown.add_row(m.name, *figures, *verdict)
    return shown


def machine() -> dict[str, Any]:
    """What figures depend on besides the code."""
    cuda = torch.cuda.is_available()
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load_before": load(),
        "device": torch.cuda.get_device_name() if cuda else "CPU",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def load() -> float:
    """Runnable processes, averaged over the last minute; NaN where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


if __name__ == "__main__":
    sys.exit(main())
