"""Scoring maps that any tool has written: one pass over the files, one small record an image."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from wsoltool.datasets.records import Records, half_open
from wsoltool.errors import WsolError
from wsoltool.evaluation.bad_maps import MISSING, BadMap, BadMapError
from wsoltool.evaluation.folder import SUFFIX, MapFolder, frame_map, read_map
from wsoltool.evaluation.protocols import get_protocols
from wsoltool.evaluation.results import ImageResult
from wsoltool.evaluation.scoring import score_image
from wsoltool.structures import Sample, Size, Truth

CHUNK = 8
"""Images a task: handing over a task costs little beside them, and an interruption waits little."""
Outcome = tuple[ImageResult | None, BadMap | None]


@dataclass(frozen=True, slots=True)
class MapRules:
    """How maps are read and scored.

    Attributes:
        protocols: Names.
        threshold: Of the fixed figures, in [0, 1).
        interpolation: ``bilinear`` or ``bicubic``.
        normalise: Min-max after resizing; otherwise values must lie in [0, 1].
        bad_maps: A key of :data:`wsoltool.evaluation.bad_maps.POLICIES`.
        box_convention: Of the annotation.
    """

    protocols: tuple[str, ...] = ("tight", "wsolevaluation")
    threshold: float = 0.2
    interpolation: str = "bilinear"
    normalise: bool = False
    bad_maps: str = "error"
    box_convention: str = "exclusive"


@dataclass(frozen=True, slots=True)
class MapScorer:
    """Reads and scores the map of one image after the other; can be sent to other processes.

    Attributes:
        records: Of the split, with sizes, and with boxes or masks.
        folder: Its maps.
        rules: How.
        ranking: ``(N, n)`` int64 classes, surest first, or None.
    """

    records: Records
    folder: MapFolder
    rules: MapRules
    ranking: np.ndarray | None = None

    def score(self, index: int, check_only: bool = False) -> Outcome:
        """One image's result, None where there is none; and its bad map, None where it is sound.

        Args:
            index: Of the image.
            check_only: Look for a bad map alone, for there will be no figures.

        Raises:
            WsolError: The image's truth cannot be used.
            RuntimeError: Anything else went wrong; the message names the file.
        """
        image_id = self.records.ids[index]
        file = self.folder.files[index]
        try:
            try:
                map_at = self._map_at(index, check_only)
            except BadMapError as error:
                bad = BadMap(image_id, error.kind, file or image_id + SUFFIX, error.what)
                missed = self.rules.bad_maps == "miss"
                return (self._result(index, None) if missed else None), bad
            return (None if check_only else self._result(index, map_at)), None
        except WsolError as error:
            raise error.located(image_id) from error
        except Exception as error:
            raise RuntimeError(f"while scoring {file} of image {image_id!r}: {error}") from error

    def _map_at(self, index: int, check_only: bool) -> Callable[[Size], np.ndarray]:
        """The map in each protocol's frame; all are made at once, for each may turn out bad."""
        file, rules = self.folder.files[index], self.rules
        if file is None:
            raise BadMapError("", MISSING)
        values = read_map(self.folder.root / file, rules.normalise)
        maps: dict[Size, np.ndarray] = {}
        # Stored values that are sound stay so in every frame, unless they are stretched there.
        if not check_only or rules.normalise:
            size = self._size(index)
            for protocol in get_protocols(rules.protocols):
                frame = protocol.frame(size)
                if frame not in maps:
                    maps[frame] = frame_map(values, frame, rules.interpolation, rules.normalise)
        return maps.__getitem__

    def _result(self, index: int, map_at: Callable[[Size], np.ndarray] | None) -> ImageResult:
        size = self._size(index)
        sample = Sample(
            image_id=self.records.ids[index],
            label=int(self.records.labels[index]),
            size=size,
            region=(0.0, 0.0, float(size[1]), float(size[0])),
            truth=self._truth(index, size),
        )
        top = None if self.ranking is None else self.ranking[index]
        protocols = get_protocols(self.rules.protocols)
        return score_image(sample, protocols, map_at, self.rules.threshold, top)

    def _size(self, index: int) -> Size:
        assert self.records.sizes is not None
        height, width = self.records.sizes[index].tolist()
        return height, width

    def _truth(self, index: int, size: Size) -> Truth:
        if self.records.masks is not None:
            return self.records.masks.truth(index, size)
        assert self.records.boxes is not None
        written = self.records.boxes[index]
        return Truth(half_open(written, self.rules.box_convention), written)


def score_maps(scorer: MapScorer, workers: int) -> Iterator[Outcome]:
    """Every image's outcome, in the order of the images, whatever the number of workers.

    Where a bad map leaves no figures, the maps after it are checked but no longer scored.

    Args:
        scorer: What to score.
        workers: Threads; 0: the caller's alone.
    """
    found_bad = False

    def tasks() -> Iterator[tuple[range, bool]]:
        total = len(scorer.records)
        for start in range(0, total, CHUNK):
            check_only = found_bad and scorer.rules.bad_maps == "error"
            yield range(start, min(start + CHUNK, total)), check_only

    for outcomes in _ordered(scorer, tasks(), workers):
        for outcome in outcomes:
            found_bad |= outcome[1] is not None
            yield outcome


def _ordered(
    scorer: MapScorer, tasks: Iterator[tuple[range, bool]], workers: int
) -> Iterator[list[Outcome]]:
    """What each task gave, in their order; no more than two tasks a worker are under way."""
    if not workers:
        yield from (_score(scorer, *task) for task in tasks)
        return
    # Threads: the sweep's kernels, three quarters of the work, let the others run.
    pool = ThreadPoolExecutor(workers)
    waiting = deque(pool.submit(_score, scorer, *task) for task in islice(tasks, 2 * workers))
    try:
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(_score, scorer, *task) for task in islice(tasks, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def _score(scorer: MapScorer, images: range, check_only: bool) -> list[Outcome]:
    return [scorer.score(index, check_only) for index in images]
