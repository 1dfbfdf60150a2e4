"""What the data sets of a config hold, and pictures of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from wsoltool.config import plain
from wsoltool.datasets.base import LocalizationDataset, run_pipeline
from wsoltool.datasets.collate import check_classes, check_disjoint
from wsoltool.datasets.split_statistics import SplitStatistics, split_statistics
from wsoltool.datasets.statistics import spread_over_classes
from wsoltool.datasets.survey import Survey, survey
from wsoltool.engine.dataloaders import LOADERS, build_dataset
from wsoltool.engine.input_size import fixed_seed
from wsoltool.engine.runner import check_class_count
from wsoltool.engine.stage_list import final_config
from wsoltool.errors import ConfigError, DataError, WorkDirError, WsolError
from wsoltool.preflight import check
from wsoltool.visualization.contact_sheet import SheetItem, contact_sheet, fitted
from wsoltool.visualization.overlay import save_png

SAMPLE = 1000
"""Images of a split that are opened, where records do not tell."""
NAMED = 5
"""Problems of single images that are told one by one."""


@dataclass(slots=True)
class DataReport:
    """What was found.

    Attributes:
        splits: One for each loader whose data set could be read.
        problems: Splits that cannot be read, images in two splits, classes that differ, images
            that were looked at and cannot be used.
        sheets: Pictures that were written.
        data: Split -> which images these are, and what `wsoltool prepare` left out of them; see
            :meth:`~wsoltool.datasets.provenance.Provenance.plain`.
    """

    splits: list[SplitStatistics] = field(default_factory=list)
    problems: list[WsolError] = field(default_factory=list)
    sheets: list[Path] = field(default_factory=list)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)


def report_data(config: Config, folder: Path, images: int = 24, seed: int = 0) -> DataReport:
    """Go through the data set of each loader and draw a contact sheet of it.

    Args:
        config: As :func:`wsoltool.config.load_config` returns it; needs no model.
        folder: Of the sheets ``contact_sheet_<loader>.png``; made if needed.
        images: On a sheet, at most.
        seed: Of what is chosen at random.

    Raises:
        WsolError: The config is wrong, no data set can be read, or ``folder`` cannot be written.
    """
    config = final_config(config)
    check(config, "data")
    report = DataReport()
    datasets: dict[str, LocalizationDataset] = {}
    loaders = [loader for loader in LOADERS if loader in config]
    if not loaders:
        raise ConfigError("the config names no data set", expected=" or ".join(LOADERS))
    for loader in loaders:
        try:
            dataset = build_dataset(config, loader)
            dataset.verify()
            _add_split(report, config, loader, dataset, folder, images, seed)
            datasets[loader] = dataset
            report.data[dataset.split] = dataset.provenance.plain()
        except WorkDirError:
            raise
        except WsolError as error:
            report.problems.append(error.located(f"{loader}.dataset"))
    if not datasets:
        raise report.problems[0]
    report.problems += _across(config, datasets)
    return report


def _add_split(
    report: DataReport,
    config: Config,
    loader: str,
    dataset: LocalizationDataset,
    folder: Path,
    images: int,
    seed: int,
) -> None:
    name = loader.removesuffix("_dataloader")
    rng = np.random.default_rng(seed)
    found = survey(dataset, SAMPLE, rng)
    sound = ~np.isin(found.rows, [*found.problems])
    rows = found.rows[sound][spread_over_classes(found.labels[sound], images, rng)]
    with fixed_seed(seed):
        items = list(sheet_items(dataset, found, rows))
    report.problems += _shown(list(found.problems.values()), name)
    sizes = [item.input_size for item in items]
    report.splits.append(split_statistics(name, dataset, found, sizes))
    if items:
        stem = Path(config.filename).stem
        title = f"{stem}: {dataset.split}, {len(items):,} of {len(dataset):,} images"
        path = folder / f"contact_sheet_{name}.png"
        save_png(path, contact_sheet(items, dataset.classes, title))
        report.sheets.append(path)


def sheet_items(
    dataset: LocalizationDataset, found: Survey, rows: np.ndarray
) -> Iterator[SheetItem]:
    """Images through the pipeline, in the order of their classes.

    Args:
        dataset: Of the images.
        found: In it, which says whether there are boxes; gets the problems of images that cannot be
            shown.
        rows: ``(n,)`` indices.
    """
    labelled = sorted((_labels(dataset, index), index) for index in rows.tolist())
    for labels, index in labelled:
        try:
            image = dataset.load(index)
            shown = run_pipeline(image.copy(), dataset.pipeline, dataset.image_ids[index])
            yield SheetItem(
                image_id=dataset.image_ids[index],
                image=fitted(image),
                size=(image.shape[0], image.shape[1]),
                labels=labels,
                region=shown["region"],
                flipped=shown["flip"],
                input=fitted(shown["img"]),
                input_size=shown["img"].shape[:2],
                # train-weaksup has no boxes to find: truth() would raise.
                truth=None if found.boxes is None else dataset.truth(index),
            )
        except WsolError as error:
            found.problems[index] = error


def _labels(dataset: LocalizationDataset, index: int) -> list[int]:
    label = dataset.label(index)
    if np.ndim(label):
        return np.flatnonzero(label).tolist()
    return [int(label)] if label >= 0 else []


def _shown(problems: Sequence[WsolError], name: str) -> list[WsolError]:
    """The first problems of single images, and how many more there are."""
    if len(problems) <= NAMED:
        return list(problems)
    more = DataError(
        f"{len(problems) - NAMED} more of the images of {name} that were looked at cannot be used",
        hint="`wsoltool prepare` checks all of them",
    )
    return [*problems[:NAMED], more]


def _across(config: Config, datasets: dict[str, LocalizationDataset]) -> Iterator[WsolError]:
    """What is wrong between splits, and between them and the model."""
    for pair in combinations(datasets.values(), 2):
        for compare in (check_disjoint, check_classes):
            try:
                compare(pair)
            except WsolError as error:
                yield error
    count = plain(config.get("model", {})).get("head", {}).get("num_classes")
    loader, dataset = next(iter(datasets.items()))
    if isinstance(count, int):
        try:
            check_class_count(count, dataset, loader)
        except ConfigError as error:
            yield error
