"""Scoring a checkpoint: thresholds from train-fullsup, figures on test."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric

from wsoltool.config import plain
from wsoltool.datasets.base import LocalizationDataset
from wsoltool.datasets.collate import check_classes, check_disjoint
from wsoltool.engine.checkpoints import load_weights, read_checkpoint, trained_on, training_of
from wsoltool.engine.dataloaders import build_dataloader, build_dataset
from wsoltool.engine.distributed import join_group
from wsoltool.engine.metrics import (
    build_metrics,
    build_threshold_metrics,
    localization_of,
    prepare_scoring,
)
from wsoltool.engine.runner import (
    QuietRunner,
    build_runner,
    check_class_count,
    planned_work_dir,
    seed_everything,
    work_dir_of,
)
from wsoltool.engine.stage_list import final_config
from wsoltool.errors import CheckpointError
from wsoltool.evaluation.further import FurtherMetric, FurtherSummary
from wsoltool.evaluation.map_writer import MapWriter
from wsoltool.evaluation.results import LocalizationResults
from wsoltool.evaluation.rows import Summary
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.models.localizer import Localizer
from wsoltool.preflight import check

TEST, VAL = "test_dataloader", "val_dataloader"


@dataclass(slots=True)
class Scoring:
    """What scoring a checkpoint gave.

    Attributes:
        summary: The localization table of the test split; None if the config switches it off, and
            on ranks other than the first.
        results: Per-image results behind it; likewise.
        fullsup: Those of train-fullsup, which thresholds were chosen on; None without that split.
        runner: With the model and the test loader, for pictures.
        further: Figures of the config's further metrics.
        tables: Of those that have one, in the config's order; none on other ranks.
        data: Split -> which images were scored, chose thresholds or, as the checkpoint says, were
            trained on; see :meth:`~wsoltool.datasets.provenance.Provenance.plain`.
        training: What the checkpoint says of it, see
            :func:`~wsoltool.engine.checkpoints.training_of`.
    """

    summary: Summary | None
    results: LocalizationResults | None
    fullsup: LocalizationResults | None
    runner: QuietRunner
    further: dict[str, float]
    tables: list[FurtherSummary]
    data: dict[str, dict[str, Any]]
    training: dict[str, Any] = field(default_factory=dict)


def load_localizer(config: Config, checkpoint: str | Path) -> tuple[Localizer, dict[str, Any]]:
    """The config's model with a checkpoint's weights, and the checkpoint's ``meta``.

    Raises:
        CheckpointError: The file is unsafe, damaged or of another model.
    """
    content = read_checkpoint(checkpoint)
    # Every tensor comes from the checkpoint: no need for the weights that training began with.
    model = build_localizer(without_pretrained(plain(config.model)))
    load_weights(model, content["state_dict"], checkpoint)
    return model, content.get("meta", {})


def score_checkpoint(
    config: Config,
    checkpoint: str | Path | None,
    work_dir: str | Path | None = None,
    launcher: str = "none",
    maps: str | Path | None = None,
) -> Scoring:
    """Run the localizer on train-fullsup and on test.

    Args:
        config: As :func:`wsoltool.config.load_config` returns it.
        checkpoint: Written by :func:`wsoltool.engine.training.train`.
        work_dir: Of logs.
        launcher: ``none``, or ``pytorch`` under torchrun.
        maps: Folder to write the test images' maps to, as ``wsoltool evaluate`` reads them; of
            several classes an image see :class:`wsoltool.evaluation.map_writer.MapWriter`.

    Raises:
        WsolError: For whatever the config, data or checkpoint lack.
    """
    config = final_config(config, checkpoint)
    check(config, "test")
    if checkpoint is None:
        raise _no_checkpoint(config, planned_work_dir(config, work_dir))
    folder = work_dir_of(config, work_dir)
    model, meta = load_localizer(config, checkpoint)
    join_group(launcher)
    seed = seed_everything(config)
    sets = _scored_sets(config)
    check_class_count(model.head.num_classes, sets[TEST], TEST)
    _check_trained_classes(meta, sets[TEST].classes, checkpoint)
    metrics = _metrics(config, model, sets, maps)
    parts: dict[str, Any] = {}
    for loader, dataset in sets.items():
        split = loader.partition("_")[0]
        settings = plain(config[loader])
        parts[loader] = build_dataloader(dataset, settings, training=False, seed=seed)
        parts[f"{split}_cfg"] = {}
        parts[f"{split}_evaluator"] = metrics[loader]
    runner = build_runner(config, folder, model=model, **parts)
    own = {dataset.split: dataset.provenance.plain() for dataset in sets.values()}
    trained = {split: of for split, of in trained_on(meta, checkpoint).items() if split not in own}
    found = _score(runner, VAL in sets, {**own, **trained})
    return replace(found, training=training_of(meta))


def _scored_sets(config: Config) -> dict[str, LocalizationDataset]:
    """By dataloader: test, and train-fullsup where thresholds are chosen for the table."""
    sets = {TEST: build_dataset(config, TEST)}
    if VAL in config and config.get("evaluation", {}) is not None:
        sets[VAL] = build_dataset(config, VAL)
    check_disjoint(list(sets.values()))
    check_classes(list(sets.values()))
    return sets


def _metrics(
    config: Config,
    model: Localizer,
    sets: dict[str, LocalizationDataset],
    maps: str | Path | None,
) -> dict[str, list[BaseMetric]]:
    """By dataloader; the model then maps what those of the test split look at."""
    metrics = {TEST: build_metrics(config, model.boxes)}
    if maps is not None:
        _write_maps(metrics[TEST], sets[TEST].multi_label, Path(maps))
    prepare_scoring(model, metrics[TEST], sets[TEST], TEST)
    if VAL in sets:
        metrics[VAL] = build_threshold_metrics(config, model.boxes)
    return metrics


def _write_maps(metrics: list[BaseMetric], by_class: bool, folder: Path) -> None:
    """Let the localization table write the maps, or, without one, a metric of their own."""
    table = localization_of(metrics)
    if table is None:
        metrics.append(MapWriter(folder, by_class))
    else:
        table.maps_folder = folder


def _no_checkpoint(config: Config, folder: Path) -> CheckpointError:
    found = [path.as_posix() for path in sorted(folder.glob("*.pth"))]
    return CheckpointError(
        "no checkpoint was given" + ("" if found else ", and none lies in the work directory"),
        at=str(folder),
        expected="wsoltool test CONFIG CHECKPOINT",
        known=found,
        hint=f"`wsoltool train {config.filename}` writes last.pth into its work directory",
    )


def _score(runner: QuietRunner, has_fullsup: bool, data: dict[str, dict[str, Any]]) -> Scoring:
    table = localization_of(runner.test_evaluator.metrics)
    if has_fullsup and table is not None:
        runner.val()
        chosen_on = localization_of(runner.val_evaluator.metrics)
        assert chosen_on is not None
        table.fullsup = chosen_on.results_by_image
    figures = runner.test()
    metrics = [m for m in runner.test_evaluator.metrics if isinstance(m, FurtherMetric)]
    tables = [metric.summary for metric in metrics if metric.summary is not None]
    summary = None if table is None else table.summary
    own = {} if summary is None else summary.metrics()
    further = {name: value for name, value in figures.items() if name not in own}
    if table is None:
        return Scoring(None, None, None, runner, further, tables, data)
    results, fullsup = table.results_by_image, table.fullsup
    return Scoring(summary, results, fullsup, runner, further, tables, data)


def _check_trained_classes(meta: dict[str, Any], classes: Any, checkpoint: str | Path) -> None:
    trained = meta.get("classes")
    if trained is None or list(trained) == list(classes):
        return
    pairs = [(a, b) for a, b in zip(trained, classes, strict=False) if a != b]
    shown = f"{pairs[0][0]!r} where the data set has {pairs[0][1]!r}" if pairs else "others"
    raise CheckpointError(
        f"the checkpoint was trained on {len(trained)} classes, among them {shown}",
        at=str(checkpoint),
        expected=f"the data set's {len(classes)} classes in their order",
        hint="use the data set that it was trained on",
    )
