"""Boxes for photos that belong to no data set."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from rich.progress import track
from torch import Tensor

from wsoltool.datasets.base import run_pipeline
from wsoltool.datasets.collate import collate
from wsoltool.datasets.images import EXTENSIONS, read_image
from wsoltool.engine.dataloaders import build_pipeline
from wsoltool.engine.scoring import load_localizer
from wsoltool.engine.stage_list import final_config
from wsoltool.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    WsolError,
    check_number,
    did_you_mean,
)
from wsoltool.models.prediction import Prediction
from wsoltool.paths import class_file_name, writable_folder
from wsoltool.preflight import check
from wsoltool.structures import Boxes, Sample
from wsoltool.visualization.overlay import (
    PREDICTED_COLOR,
    blend_map,
    draw_boxes,
    draw_label,
    enlarge,
    save_png,
)

_BATCH = 16
_SIDE = 320
_Answer = tuple[Path, np.ndarray, Prediction]


@dataclass(slots=True)
class LocalizationRun:
    """What was done: a record for each image, and the files that could not be localized."""

    records: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)

    def fail(self, path: Path, error: WsolError) -> None:
        self.failed.append({"image": str(path), "error": str(error.located(str(path)))})


@dataclass(slots=True)
class _Photo:
    path: Path
    image: np.ndarray  # (H, W, 3) as people see it
    shown: np.ndarray  # (h, w, 3) as the network does
    sample: Sample


class PhotoLocalizer:
    """A trained model with the names and the pipeline that its photos need.

    Args:
        config: Of the training; its test pipeline is applied to the photos.
        checkpoint: Of the training.
        top: Classes for each photo at most, best scores first; None for 1, or with ``min_score``
            for any number.
        classes: Localize these classes instead.
        min_score: Smallest probability of a class that is localized, in [0, 1]; a photo may have
            none.

    Raises:
        WsolError: For whatever the config or checkpoint lack.
    """

    def __init__(
        self,
        config: Config,
        checkpoint: str | Path,
        top: int | None = None,
        classes: Sequence[str] | None = None,
        min_score: float | None = None,
    ) -> None:
        config = final_config(config, checkpoint)
        check(config, "localize")
        if top is not None and top < 1:
            raise ConfigError(f"--top is {top}", expected="at least 1")
        if min_score is not None:
            check_number("--min-score", min_score, highest=1.0)
        model, meta = load_localizer(config, checkpoint)
        count = model.head.num_classes
        self.classes = list(meta.get("classes") or map(str, range(count)))
        if len(self.classes) != count:
            raise CheckpointError(
                f"the checkpoint names {len(self.classes)} classes, its model has {count}",
                at=str(checkpoint),
                expected="a file written by wsoltool train",
            )
        self.pipeline = build_pipeline(config, "test_dataloader")
        asked = None if classes is None else [self._class_id(name) for name in classes]
        asked = asked and list(dict.fromkeys(asked))
        if top is None:
            top = 1 if min_score is None else count
        model.class_query = _query(min(top, count), asked, min_score or 0.0)
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.model.eval()

    def _class_id(self, name: str) -> int:
        if name not in self.classes:
            raise ConfigError(
                f"unknown class {name!r}",
                at="--classes",
                known=self.classes if len(self.classes) <= 40 else (),
                hint=did_you_mean(name, self.classes),
            )
        return self.classes.index(name)

    def predict(self, photos: Iterable[Path], run: LocalizationRun) -> Iterator[_Answer]:
        """Path, ``(H, W, 3)`` RGB image and prediction of every photo that can be localized.

        The others are noted in ``run``.
        """
        batch: list[_Photo] = []
        for path in photos:
            try:
                batch.append(self._load(path))
            except WsolError as error:
                run.fail(path, error)
            if len(batch) == _BATCH:
                yield from self._predict(batch, run)
                batch = []
        if batch:
            yield from self._predict(batch, run)

    @torch.no_grad()
    def _predict(self, batch: Sequence[_Photo], run: LocalizationRun) -> Iterator[_Answer]:
        try:
            predictions = self.model.test_step(collate([(p.shown, p.sample) for p in batch]))
        except WsolError as error:
            if len(batch) == 1:
                run.fail(batch[0].path, error)
                return
            for photo in batch:  # one that is too small, for example, must not take the others
                yield from self._predict([photo], run)
            return
        for photo, prediction in zip(batch, predictions, strict=True):
            yield photo.path, photo.image, prediction

    def _load(self, path: Path) -> _Photo:
        image = read_image(path)
        results = run_pipeline(image, self.pipeline, str(path))
        sample = Sample(str(path), -1, results["ori_shape"], results["region"], results["flip"])
        return _Photo(path, image, results["img"], sample)

    def record(self, path: Path, prediction: Prediction) -> dict[str, Any]:
        """One photo's boxes as plain data: xyxy in its own pixels, x1 y1 exclusive.

        ``predictions`` has an entry for each class that was asked for, the surest first unless
        classes were named; none is a valid answer, and so is an entry without boxes. A box that was
        cut at a threshold chosen for the photo says which.
        """
        height, width = prediction.sample.size
        found = []
        for class_id in prediction.class_ids:
            boxes = prediction.boxes(class_id)
            found.append(
                {
                    "class": self.classes[class_id],
                    "class_id": class_id,
                    "class_score": round(float(prediction.scores[class_id]), 6),
                    "boxes": [_plain(boxes, index) for index in range(len(boxes))],
                }
            )
        return {"image": str(path), "width": width, "height": height, "predictions": found}


def localize(
    photo_localizer: PhotoLocalizer, images: Sequence[str | Path], out: Path, overlays: bool = True
) -> LocalizationRun:
    """Write ``boxes.json``, ``boxes.csv`` and overlays for photos.

    Args:
        photo_localizer: The model.
        images: Files, or folders that are searched for images.
        out: Folder of the results, made if needed; not searched itself.
        overlays: Whether to draw pictures.

    Returns:
        The records, and what failed: files that are missing or damaged, folders without images,
        images that the network cannot take. When interrupted, what is done is written all the same.

    Raises:
        DataError: There is no image at all.
        WorkDirError: ``out`` cannot be written.
    """
    run = LocalizationRun()
    photos = find_photos(images, run, out)
    names = _picture_names(photos)
    writable_folder(out, "--out")
    watched = track(photos, "localizing", disable=not sys.stdout.isatty())
    try:
        for path, image, prediction in photo_localizer.predict(watched, run):
            record = photo_localizer.record(path, prediction)
            run.records.append(record)
            for found in record["predictions"] if overlays else ():
                name = f"{names[path]}.{class_file_name(found['class_id'], found['class'])}.png"
                save_png(out / "overlays" / name, _overlay(image, prediction, found))
    finally:
        _write_tables(run, out)
    return run


def find_photos(images: Sequence[str | Path], run: LocalizationRun, out: Path) -> list[Path]:
    """The image files that arguments name, folders searched, each once and in order.

    Files named are taken as they are, also missing ones: reading them tells what is wrong. In
    folders, hidden files are left out, and results of an earlier run.

    Args:
        images: Files and folders.
        run: Where folders without images are noted.
        out: Folder of results.

    Raises:
        DataError: There is no image at all.
    """
    photos: dict[str, Path] = {}
    for given in map(Path, images):
        found = _inside(given, out) if given.is_dir() else [given]
        if not found:
            expected = "files ending in " + ", ".join(sorted(EXTENSIONS))
            run.fail(given, DataError("no image in the folder", expected=expected))
        for path in found:
            photos.setdefault(os.path.abspath(path), path)  # noqa: PTH100 (keeps links)
    if not photos:
        raise DataError("no image found", at=", ".join(map(str, images)))
    return list(photos.values())


def _inside(folder: Path, out: Path) -> list[Path]:
    results = out.resolve()
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and not path.resolve().is_relative_to(results)
    ]


def _plain(boxes: Boxes, index: int) -> dict[str, Any]:
    xyxy = [round(float(side), 2) for side in boxes.xyxy[index]]
    plain = {"xyxy": xyxy, "score": round(float(boxes.scores[index]), 6)}
    if boxes.thresholds is not None:
        plain["threshold"] = round(float(boxes.thresholds[index]), 6)
    return plain


def _query(top: int, asked: list[int] | None, min_score: float) -> Any:
    def choose(sample: Sample, scores: Tensor) -> list[int]:
        classes = asked or scores.topk(top).indices.tolist()
        return [class_id for class_id in classes if scores[class_id] >= min_score]

    return choose


def _picture_names(photos: Sequence[Path]) -> dict[Path, Path]:
    """Names below the photos' common folder, so that equal file names do not collide."""
    full = {path: Path(os.path.abspath(path)) for path in photos}  # noqa: PTH100 (keeps links)
    common = os.path.commonpath([path.parent for path in full.values()])
    return {path: absolute.relative_to(common) for path, absolute in full.items()}


def _overlay(image: np.ndarray, prediction: Prediction, found: dict[str, Any]) -> np.ndarray:
    shown, factor = enlarge(image, _SIDE)
    shown = blend_map(shown, prediction.map(found["class_id"]), weight=0.4)
    boxes = [np.asarray(box["xyxy"]) for box in found["boxes"]]
    shown = draw_boxes(shown, boxes, PREDICTED_COLOR, factor)
    return draw_label(shown, f"{found['class']} {found['class_score']:.2f}", (255, 255, 255))


def _write_tables(run: LocalizationRun, out: Path) -> None:
    content = {"images": run.records, "failed": run.failed}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    # A file name that is no UTF-8 becomes an escape, which JSON readers undo.
    path = out / "boxes.json"
    path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    path = out / "boxes.csv"
    predictions = [found for record in run.records for found in record["predictions"]]
    chosen = any("threshold" in box for found in predictions for box in found["boxes"])
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        columns = ["image", "class", "class_score", "x0", "y0", "x1", "y1", "box_score"]
        writer.writerow(columns + ["threshold"] * chosen)
        for record in run.records:
            for found in record["predictions"]:
                for box in found["boxes"]:
                    row = [record["image"], found["class"], found["class_score"]]
                    row += [*box["xyxy"], box["score"]]
                    writer.writerow(row + [box.get("threshold", "")] * chosen)
