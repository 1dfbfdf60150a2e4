"""The command as a function, and one trained checkpoint for all tests of a file."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from wsoltool.cli import main
from wsoltool.evaluation.folder import SUFFIX

CONFIG = "cam/cam_small_creatures.py"


class Outcome:
    """What a command left: its exit code, and what it wrote."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@pytest.fixture
def wsoltool(capsys, tmp_path, monkeypatch):
    """Run a command in this process, below ``tmp_path``: what it writes by default lands there."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(wsoltool):
    """Run a command that must fail with one clean message, which is answered."""

    def run(*arguments):
        outcome = wsoltool(*arguments)
        assert outcome.code == 1, outcome
        assert outcome.err.startswith("error: "), outcome
        assert "Traceback" not in outcome.err + outcome.out
        return outcome.err

    return run


@pytest.fixture(scope="module")
def trained(tiny_options, tmp_path_factory):
    """The work directory of a tiny run of the demo's config."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(["train", CONFIG, "--work-dir", str(folder), *tiny_options]) == 0
    return folder


class Split:
    """A folder of maps and a split's metadata, written image by image."""

    def __init__(self, root: Path) -> None:
        self.root, self.maps, self.metadata = root, root / "maps", root / "metadata"
        self.lines = {name: [] for name in ("image_ids", "class_labels", "image_sizes")}
        self.lines["localization"] = []
        self.maps.mkdir(parents=True)
        self.metadata.mkdir()

    def add(self, name, values, boxes, size=(20, 30), label=0, file=None):
        """An image; ``values`` None for none, bytes for a file's content."""
        if values is not None:
            path = self.maps / (file or name + SUFFIX)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(values if isinstance(values, bytes) else self.packed(values))
        self.lines["image_ids"].append(name)
        self.lines["class_labels"].append(f"{name},{label}")
        self.lines["image_sizes"].append(f"{name},{size[1]},{size[0]}")
        for box in np.reshape(boxes, (-1, 4)).tolist():
            self.lines["localization"].append(",".join(map(str, [name, *map(int, box)])))
        self.write()

    def write(self):
        for name, lines in self.lines.items():
            (self.metadata / f"{name}.txt").write_text("\n".join(lines))

    @property
    def arguments(self):
        return ("evaluate", "--maps", self.maps, "--metadata", self.metadata)

    @staticmethod
    def packed(values):
        file = io.BytesIO()
        np.save(file, np.asarray(values))
        return file.getvalue()

    @staticmethod
    def lit(box, size=(20, 30), dtype=np.float32):
        """A map that is 1 inside a box, and a little elsewhere."""
        values = np.full(size, 0.1, dtype)
        values[box[1] : box[3], box[0] : box[2]] = 1
        return values


@pytest.fixture
def split(tmp_path):
    return Split(tmp_path)


@pytest.fixture
def four(split):
    """Right: a and the nested c; b's box has IoU 8/16, d's none. Two classes."""
    split.add("a.jpg", split.lit((2, 2, 10, 10)), (2, 2, 10, 10))
    split.add("b.jpg", split.lit((2, 2, 6, 4)), (2, 2, 6, 6), label=1)
    split.add("x/y/c.png", split.lit((1, 1, 29, 19)), (1, 1, 29, 19), file="x/y/c.npy")
    split.add("x/d.png", split.lit((20, 10, 25, 15)), (2, 2, 10, 10), label=3)
    return split


@pytest.fixture
def masked(split):
    """One image, whose localization.txt names a mask of an 8 x 8 object; half of it is found."""
    mask = np.zeros((20, 30), np.uint8)
    mask[2:10, 2:10] = 255
    (split.root / "masks").mkdir()
    for name, pixels in {"m": mask, "i": np.zeros_like(mask)}.items():
        cv2.imwrite(str(split.root / f"masks/{name}.png"), pixels)
    split.add("a.jpg", split.lit((2, 2, 10, 6)), np.zeros((0, 4)))
    split.lines["localization"] = ["a.jpg,m.png,i.png"]
    split.write()
    return split


@pytest.fixture
def evaluate(wsoltool, tmp_path):
    """Evaluate a split without intervals; the outcome, and the figures that were written."""

    def run(split, *options):
        figures = tmp_path / "out" / "figures.json"
        outcome = wsoltool(*split.arguments, "--resamples", 0, "--json", figures, *options)
        return outcome, json.loads(figures.read_text()) if figures.is_file() else None

    return run
