"""Boxes for photos that belong to no data set."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from wsoltool.config import plain
from wsoltool.datasets.base import run_pipeline
from wsoltool.datasets.collate import collate
from wsoltool.datasets.images import read_image
from wsoltool.engine.runner import make_folder
from wsoltool.engine.scoring import load_localizer
from wsoltool.errors import ConfigError, DataError, ShapeError, WsolError, did_you_mean
from wsoltool.models.prediction import Prediction
from wsoltool.plugin.manager import build
from wsoltool.preflight import check
from wsoltool.structures import Sample
from wsoltool.visualization.overlay import (
    PREDICTED_COLOR,
    blend_map,
    draw_boxes,
    draw_label,
    enlarge,
    save_png,
)

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_BATCH = 16
_SIDE = 320


@dataclass(slots=True)
class LocalizationRun:
    """What was done: a record for each image, and the files that could not be used."""

    records: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)


class PhotoLocalizer:
    """A trained model with the names and the pipeline that its photos need.

    Args:
        config: Of the training; its test pipeline is applied to the photos.
        checkpoint: Of the training.
        top: Classes for each photo, best scores first.
        classes: Localize these classes instead.

    Raises:
        WsolError: For whatever the config or checkpoint lack.
    """

    def __init__(
        self,
        config: Config,
        checkpoint: str | Path,
        top: int = 1,
        classes: Sequence[str] | None = None,
    ) -> None:
        check(config, "localize")
        if top < 1:
            raise ConfigError(f"--top is {top}", expected="at least 1")
        model, meta = load_localizer(config, checkpoint)
        count = model.head.num_classes
        self.classes = list(meta.get("classes") or map(str, range(count)))
        pipeline = plain(config.test_dataloader.dataset.get("pipeline", []))
        at = "test_dataloader.dataset.pipeline"
        self.pipeline = [build("transform", t, f"{at}[{i}]") for i, t in enumerate(pipeline)]
        asked = None if classes is None else [self._class_id(name) for name in classes]
        model.class_query = _query(min(top, count), asked)
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

    def predict(
        self, photos: Iterable[Path], run: LocalizationRun
    ) -> Iterator[tuple[Path, np.ndarray, Prediction]]:
        """Path, ``(H, W, 3)`` RGB image and prediction of every photo that can be used."""
        batch: list[tuple[Path, np.ndarray]] = []
        for path in photos:
            try:
                batch.append((path, read_image(path)))
            except WsolError as error:
                run.failed.append({"image": str(path), "error": str(error)})
            if len(batch) == _BATCH:
                yield from self._predict(batch, run)
                batch = []
        if batch:
            yield from self._predict(batch, run)

    def _predict(
        self, batch: Sequence[tuple[Path, np.ndarray]], run: LocalizationRun
    ) -> Iterator[tuple[Path, np.ndarray, Prediction]]:
        try:
            shown = collate([self._shown(path, image) for path, image in batch])
            predictions = self.model.test_step(shown)
        except (DataError, ShapeError) as error:
            if len(batch) > 1:  # one photo too small must not cost the others
                for photo in batch:
                    yield from self._predict([photo], run)
                return
            path = str(batch[0][0])
            run.failed.append({"image": path, "error": str(error.located(path))})
            return
        for (path, image), prediction in zip(batch, predictions, strict=True):
            yield path, image, prediction

    def _shown(self, path: Path, image: np.ndarray) -> tuple[np.ndarray, Sample]:
        results = run_pipeline(image, self.pipeline, str(path))
        sample = Sample(str(path), -1, results["ori_shape"], results["region"], results["flip"])
        return results["img"], sample

    def record(self, path: Path, prediction: Prediction) -> dict[str, Any]:
        """One photo's boxes as plain data: xyxy in its own pixels, x1 y1 exclusive."""
        height, width = prediction.sample.size
        found = []
        for class_id in prediction.class_ids:
            boxes = prediction.boxes(class_id)
            found.append(
                {
                    "class": self.classes[class_id],
                    "class_id": class_id,
                    "class_score": round(float(prediction.scores[class_id]), 6),
                    "boxes": [
                        {"xyxy": [round(float(v), 2) for v in box], "score": round(float(score), 6)}
                        for box, score in zip(boxes.xyxy, boxes.scores, strict=True)
                    ],
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
        out: Folder of the results, made if needed.
        overlays: Whether to draw pictures.

    Raises:
        DataError: No image was given, or a path does not exist.
        WorkDirError: ``out`` cannot be written.
    """
    photos = find_photos(images)
    make_folder(out, "--out")
    names = _picture_names(photos)
    run = LocalizationRun()
    for path, image, prediction in photo_localizer.predict(photos, run):
        record = photo_localizer.record(path, prediction)
        run.records.append(record)
        if overlays:
            for found in record["predictions"]:
                name = f"{names[path]}.{_file_name(found['class'])}.png"
                save_png(out / "overlays" / name, _overlay(image, prediction, found))
    _write_tables(run, out)
    return run


def find_photos(images: Sequence[str | Path]) -> list[Path]:
    """The image files that arguments name, folders searched, each once and in order.

    Raises:
        DataError: A path that does not exist, or no image at all.
    """
    photos: dict[Path, None] = {}
    for given in map(Path, images):
        if given.is_dir():
            inside = sorted(p for p in given.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
            photos.update(dict.fromkeys(inside))
        elif given.exists():
            photos[given] = None
        else:
            raise DataError(f"no such image or folder: {str(given)!r}", at="IMAGES")
    if not photos:
        raise DataError(
            "no image found",
            at=", ".join(map(str, images)),
            expected="files ending in " + ", ".join(sorted(IMAGE_SUFFIXES)),
        )
    return list(photos)


def _query(top: int, asked: list[int] | None) -> Any:
    def choose(sample: Sample, scores: Tensor) -> list[int]:
        return asked or scores.topk(top).indices.tolist()

    return choose


def _picture_names(photos: Sequence[Path]) -> dict[Path, Path]:
    """Names below the photos' common folder, so that equal file names do not collide."""
    resolved = {path: path.resolve() for path in photos}
    parents = [path.parent for path in resolved.values()]
    common = parents[0]
    while not all(parent.is_relative_to(common) for parent in parents):
        common = common.parent
    return {path: full.relative_to(common) for path, full in resolved.items()}


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in text)


def _overlay(image: np.ndarray, prediction: Prediction, found: dict[str, Any]) -> np.ndarray:
    shown, factor = enlarge(image, _SIDE)
    shown = blend_map(shown, prediction.map(found["class_id"]), weight=0.4)
    boxes = [np.asarray(box["xyxy"]) for box in found["boxes"]]
    shown = draw_boxes(shown, boxes, PREDICTED_COLOR, factor)
    return draw_label(shown, f"{found['class']} {found['class_score']:.2f}", (255, 255, 255))


def _write_tables(run: LocalizationRun, out: Path) -> None:
    content = {"images": run.records, "failed": run.failed}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (out / "boxes.json").write_text(text + "\n", encoding="utf-8")
    with (out / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "class", "class_score", "x0", "y0", "x1", "y1", "box_score"])
        for record in run.records:
            for found in record["predictions"]:
                for box in found["boxes"]:
                    row = [record["image"], found["class"], found["class_score"]]
                    writer.writerow([*row, *box["xyxy"], box["score"]])
