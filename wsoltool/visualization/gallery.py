"""A folder of pictures with a page to look through them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader

from wsoltool.errors import WorkDirError
from wsoltool.structures import Erasure
from wsoltool.visualization.branches import draw_branches, tiles
from wsoltool.visualization.class_rows import ClassRow, draw_rows
from wsoltool.visualization.erasures import ErasureLegend, draw_erasure
from wsoltool.visualization.overlay import (
    PART_COLOR,
    PREDICTED_COLOR,
    TRUTH_COLOR,
    blend_map,
    draw_boxes,
    enlarge,
    save_png,
    side_by_side,
)
from wsoltool.visualization.parts import draw_parts, part_colors

_SIDE = 224
_WIDTH, _TILE = 440, 140  # of a figure on the page, and of a tile more


@dataclass(slots=True)
class GalleryItem:
    """One image of the gallery; boxes as everywhere: xyxy, pixels of the original, exclusive.

    Attributes:
        name: Of the picture's file, to which ``.png`` is added; slashes make folders.
        image: ``(H, W, 3)`` uint8 RGB, the original.
        localization_map: ``(H, W)`` in [0, 1].
        predicted: ``(N, 4)`` boxes.
        truth: ``(M, 4)`` boxes, may be empty.
        parts: ``(P, 4)`` boxes of the discriminative part, may be empty.
        caption: One line below the picture.
        correct: Whether it counts as localized; None if unknown.
        part_maps: ``(P, H, W)`` in [0, 1], what the network takes for P parts, 0 where it did not
            look; None if it knows no parts.
        erasures: Name of an insert -> what its eraser would hide, with maps of the whole image.
        branches: Name -> map ``(H, W)`` in [0, 1] that the localization map is made of.
        rows: Of images that may show several classes: each class with its own map and boxes, which
            are then shown instead of those above, its branches too.
    """

    name: str
    image: np.ndarray
    localization_map: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray
    parts: np.ndarray
    caption: str
    correct: bool | None = None
    part_maps: np.ndarray | None = None
    erasures: Mapping[str, Erasure] = field(default_factory=dict)
    branches: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: Sequence[ClassRow] = ()

    @property
    def branch_names(self) -> tuple[str, ...]:
        """Of the maps that are drawn beside localization maps, each once."""
        shown = [row.branches for row in self.rows] or [self.branches]
        return tuple(dict.fromkeys(name for branches in shown for name in branches))


def draw_item(item: GalleryItem) -> np.ndarray:
    """Side by side: image, map over image, boxes against truth; branches, parts, erasures if known.

    Map, boxes and branches of several classes stand in a row for each.
    """
    image, factor = enlarge(item.image, _SIDE)
    parts = [] if item.part_maps is None else [draw_parts(image, item.part_maps)]
    erasures = [draw_erasure(image, name, erasure) for name, erasure in item.erasures.items()]
    if item.rows:
        return draw_rows(image, factor, item.rows, item.parts, [*parts, *erasures])
    overlay = blend_map(image, item.localization_map)
    boxes = draw_boxes(image, item.parts, PART_COLOR, factor)
    boxes = draw_boxes(boxes, item.truth, TRUTH_COLOR, factor)
    boxes = draw_boxes(boxes, item.predicted, PREDICTED_COLOR, factor)
    branches = draw_branches(image, item.branches)
    return side_by_side([image, overlay, boxes, *branches, *parts, *erasures])


def write_gallery(
    folder: Path,
    items: Iterable[GalleryItem],
    title: str,
    figures: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Path:
    """Write the pictures and ``index.html``; the page's path is returned.

    Args:
        folder: Made if needed; pictures of the same names are replaced.
        items: Drawn one by one.
        title: Of the page.
        figures: Name -> value, shown at the top.
        notes: Lines below them.

    Raises:
        WorkDirError: The folder cannot be written.
    """
    entries, part_count, erasures, by_class = [], 0, ErasureLegend(), False
    colors = {"truth": TRUTH_COLOR, "predicted": PREDICTED_COLOR}
    branches: dict[str, None] = {}
    for item in items:
        path = Path("pictures", *_inside(item.name))
        save_png(folder / path, draw_item(item))
        part_count = max(part_count, 0 if item.part_maps is None else len(item.part_maps))
        erasures.add(item.erasures)
        branches |= dict.fromkeys(item.branch_names)
        by_class |= bool(item.rows)
        colors |= {"part": PART_COLOR} if len(item.parts) else {}
        link = quote(path.as_posix())
        entries.append({"path": link, "caption": item.caption, "correct": item.correct})
    page = _page(
        title=title,
        figures=figures,
        notes=notes,
        entries=entries,
        part_colors=[f"rgb{color}" for color in part_colors(part_count)],
        erasures=erasures,
        colors={name: f"rgb{color}" for name, color in colors.items()},
        by_class=by_class,
        branches=list(branches),
        width=_WIDTH + _TILE * (tiles(len(branches)) + bool(part_count) + len(erasures.counts)),
    )
    _write(page, folder / "index.html")
    return folder / "index.html"


def _page(**content: Any) -> str:
    environment = Environment(loader=PackageLoader("wsoltool.visualization"), autoescape=True)
    return environment.get_template("gallery.html").render(**content)


def _write(page: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        what = f"gallery cannot be written: {error.strerror or error}"
        raise WorkDirError(what, at=str(path)) from error


def _inside(name: str) -> tuple[str, ...]:
    """The parts of a picture's path, which leads nowhere out of its folder."""
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]
    return tuple("__" if part == ".." else part for part in [*parts[:-1], f"{parts[-1]}.png"])
