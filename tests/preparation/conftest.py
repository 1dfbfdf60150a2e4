"""A miniature CUB-200-2011 that grows image by image, and the command as a function."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from wsoltool.cli import main
from wsoltool.datasets.readers import cub


def make_photo(seed: int = 0, size: tuple[int, int] = (32, 48)) -> Image.Image:
    """Smooth colours of (height, width), different for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))


def encode_photo(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.fixture
def photo() -> Callable[..., Image.Image]:
    return make_photo


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    return encode_photo


@pytest.fixture
def turned() -> Callable[[int], Image.Exif]:
    return with_orientation


@dataclass
class Birds:
    """CUB-200-2011 as its archive unpacks, with few birds of 32 x 48 pixels."""

    root: Path
    monkeypatch: pytest.MonkeyPatch
    lines: dict[str, list[str]] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=lambda: {"train": 0, "test": 0})

    @property
    def home(self) -> Path:
        return self.root / "CUB_200_2011"

    def path(self, name: str) -> Path:
        return self.home / "images" / name

    def add(self, name, part="train", label=0, box=(2, 3, 20, 10), data=None, listed=True):
        """An image; ``box`` is x, y, width, height, ``data`` its file's content."""
        number = len(self.lines.get("images", ())) + 1
        if data is None:
            data = encode_photo(make_photo(number))
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.published[part] += listed
        for file, text in {
            "images": name,
            "image_class_labels": label + 1,
            "train_test_split": int(part == "train"),
            "bounding_boxes": " ".join(map(str, box)),
        }.items():
            self.lines.setdefault(file, []).append(f"{number} {text}")
        self.write()
        return path

    def write(self):
        self.lines["classes"] = ["1 001.Auk", "2 002.Bee_eater"]
        for file, lines in self.lines.items():
            (self.home / f"{file}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.monkeypatch.setattr(cub, "PUBLISHED", self.published)


@pytest.fixture
def birds(tmp_path, monkeypatch) -> Birds:
    """Eight sound images: two of each class in each part."""
    tree = Birds(tmp_path / "downloads", monkeypatch)
    for part in ("train", "test"):
        for label, name in enumerate(("001.Auk", "002.Bee_eater")):
            for number in range(2):
                tree.add(f"{name}/{part}_{number}.jpg", part, label)
    return tree


@dataclass
class Run:
    """What a command left: its exit code, what it wrote, and its folder."""

    code: int
    out: str
    err: str
    folder: Path

    def rows(self, name: str = "problems.csv") -> list[list[str]]:
        """The lines of a list, without the names of its columns."""
        import csv

        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))[1:]

    def kinds(self) -> dict[str, str]:
        """Image -> kind of its problem."""
        return {row[1]: row[2] for row in self.rows()}


@pytest.fixture
def prepare(tmp_path, capsys) -> Callable[..., Run]:
    """Run ``wsoltool prepare`` in this process."""

    def run(reader, root, *options, folder="prepared") -> Run:
        capsys.readouterr()
        folder = tmp_path / folder
        arguments = ["prepare", reader, root, folder, *options]
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return Run(code, *capsys.readouterr(), folder)

    return run


@pytest.fixture
def looked_into(monkeypatch) -> list[str]:
    """Names of the files that were looked into, not remembered."""
    from wsoltool.preparation.inspection import Inspector

    names: list[str] = []
    inspect = Inspector.inspect

    def counted(self, role, name, size):
        names.append(name)
        return inspect(self, role, name, size)

    monkeypatch.setattr(Inspector, "inspect", counted)
    return names
