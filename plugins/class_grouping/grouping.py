"""Groups of classes at several levels: section II-B of the paper.

K classes, D numbers that describe one, n groups or classes to be grouped.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsoltool.errors import ConfigError, DataError, is_whole
from wsoltool.paths import whole_file

VERSION = 1
RESTARTS = 10


def cluster_rows(vectors: np.ndarray, clusters: int, seed: int = 0) -> np.ndarray:
    r"""Group vectors by k-means.

    Eqs. (1) and (2), with :math:`a_j` the mean of cluster :math:`C_j`:

    .. math:: \arg\min \sum_{j=1}^N \sum_{i \in C_j} \lVert x_i - a_j \rVert_2^2

    The paper prints the norm without its square; k-means is the squared one, for which the mean
    of Eq. (1) is the best centre. The best of ten starts (k-means++) is taken.

    Args:
        vectors: ``(n, D)`` float, for example classifier rows.
        clusters: Their number N, from 1 to n.
        seed: Of the starts; the same seed gives the same groups.

    Returns:
        ``(n,)`` int64 in ``[0, N)``, numbered by the first vector of each cluster; none is empty.

    Raises:
        ConfigError: More clusters than vectors, or less than one.
        DataError: The vectors are not finite, or fewer than N of them differ.

    Example:
        >>> cluster_rows(np.array([[0.0], [5.0], [0.1], [5.1]]), 2).tolist()
        [0, 1, 0, 1]
    """
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise DataError(f"vectors {vectors.shape} cannot be grouped", expected="(n, D), all finite")
    if not is_whole(clusters, 1) or clusters > len(vectors):
        expected = f"a whole number from 1 to {len(vectors)}"
        raise ConfigError(f"clusters={clusters!r} of {len(vectors)} vectors", expected=expected)
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # equal vectors: refused below
        found = KMeans(clusters, n_init=RESTARTS, random_state=seed).fit_predict(vectors)
    ids = _numbered(found)
    if ids.max() + 1 < clusters:
        raise DataError(
            f"{len(vectors)} vectors make {ids.max() + 1} clusters, not {clusters}",
            expected="vectors that differ",
            hint="was the network trained? classes that it never tells apart have equal rows",
        )
    return ids


def compose(outer: Sequence[int], ids: Sequence[int]) -> tuple[int, ...]:
    """The cluster of each class, where ``outer`` groups the groups that ``ids`` puts them in.

    Example:
        >>> compose([0, 1, 0], [0, 1, 1, 2])
        (0, 1, 1, 0)
    """
    return tuple(int(outer[group]) for group in ids)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Classes, and groups of them that grow from level to level.

    Attributes:
        classes: The K names, each once.
        levels: For each level but that of the classes themselves, the group of each class, from 0
            on, each group numbered by its first class. Groups of a level are unions of those of
            the level before.
        seeds: Of each level's k-means.

    Raises:
        DataError: The levels are no such groups.
    """

    classes: tuple[str, ...]
    levels: tuple[tuple[int, ...], ...] = ()
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        names = all(isinstance(name, str) and name for name in self.classes)
        if not self.classes or not names or len(set(self.classes)) != len(self.classes):
            raise DataError("the classes have no names of their own", expected="names, each once")
        if len(self.seeds) != len(self.levels) or not all(is_whole(seed, 0) for seed in self.seeds):
            raise DataError(f"seeds {self.seeds}", expected=f"{len(self.levels)} whole numbers")
        for level, ids in enumerate(self.levels, start=1):
            self._check_level(level, ids)

    def _check_level(self, level: int, ids: tuple[int, ...]) -> None:
        if len(ids) != len(self.classes) or not all(is_whole(one, 0) for one in ids):
            raise DataError(
                f"level {level} has {len(ids)} ids", expected=f"{len(self.classes)} whole numbers"
            )
        if tuple(_numbered(np.array(ids)).tolist()) != ids:
            raise DataError(
                f"the groups of level {level} are not numbered by their first class",
                expected="0 for the first class's group, then 1 ...",
            )
        below = self.ids(level - 1)
        parted = next((i for i, j in self._pairs(below) if ids[i] != ids[j]), None)
        if parted is not None:
            raise DataError(
                f"level {level} parts {self.classes[parted]!r} from others of its group",
                expected="groups that are unions of those of the level before",
            )

    def _pairs(self, ids: tuple[int, ...]) -> list[tuple[int, int]]:
        """(class, first class of its group)."""
        return [(i, ids.index(group)) for i, group in enumerate(ids)]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of classes, then of groups by level: ``(20, 12, 8, 5)``."""
        return tuple(max(self.ids(level)) + 1 for level in range(len(self.levels) + 1))

    def ids(self, level: int) -> tuple[int, ...]:
        """The group of each class; at level 0 a class is its own group.

        Raises:
            DataError: There is no such level.
        """
        if not is_whole(level, 0) or level > len(self.levels):
            last = len(self.levels)
            raise DataError(f"no level {level!r} of groups", expected=f"a level from 0 to {last}")
        return self.levels[level - 1] if level else tuple(range(len(self.classes)))

    def members(self, level: int) -> list[list[int]]:
        """The classes of each group."""
        ids = self.ids(level)
        return [[i for i, own in enumerate(ids) if own == group] for group in range(max(ids) + 1)]

    def names(self, level: int) -> tuple[str, ...]:
        """``{cat, dog}`` for a group of several classes; a class alone keeps its name.

        Example:
            >>> Grouping(("cat", "car", "dog"), ((0, 1, 0),), (0,)).names(1)
            ('{cat, dog}', 'car')
        """
        return tuple(
            self.classes[group[0]]
            if len(group) == 1
            else "{" + ", ".join(self.classes[i] for i in group) + "}"
            for group in self.members(level)
        )

    def with_level(self, ids_of_groups: Sequence[int], seed: int) -> Grouping:
        """One more level, which groups the groups of the last."""
        ids = compose(ids_of_groups, self.ids(len(self.levels)))
        return Grouping(self.classes, (*self.levels, ids), (*self.seeds, seed))

    def first_levels(self, count: int) -> Grouping:
        """The classes and the first ``count`` levels of groups."""
        return Grouping(self.classes, self.levels[:count], self.seeds[:count])


def write_groups(grouping: Grouping, path: Path) -> None:
    """Write a grouping as JSON, whole or not at all."""
    levels = [
        {"clusters": max(ids) + 1, "seed": seed, "ids": list(ids)}
        for ids, seed in zip(grouping.levels, grouping.seeds, strict=True)
    ]
    content = {"version": VERSION, "classes": list(grouping.classes), "levels": levels}
    text = json.dumps(content, ensure_ascii=False, indent=1)
    with whole_file(path) as file:
        file.write(f"{text}\n".encode())


def read_groups(path: str | Path) -> Grouping:
    """Read what :func:`write_groups` wrote.

    Raises:
        DataError: Missing, damaged, or no such groups.
    """
    path = Path(path)
    expected = "the groups.json of a stage class_grouping.ClusterClasses"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError("no file of groups", at=str(path), expected=expected) from error
    except (OSError, ValueError) as error:
        raise DataError(f"unreadable groups: {error}", at=str(path), expected=expected) from error
    if not _well_formed(content):
        raise DataError("the file holds no groups of classes", at=str(path), expected=expected)
    levels = content["levels"]
    try:
        grouping = Grouping(
            tuple(content["classes"]),
            tuple(tuple(level["ids"]) for level in levels),
            tuple(level["seed"] for level in levels),
        )
    except DataError as error:
        raise error.located(str(path)) from error
    if (said := [level["clusters"] for level in levels]) != list(grouping.counts[1:]):
        what = f"the file says clusters {said} and lists {list(grouping.counts[1:])}"
        raise DataError(what, at=str(path), expected=expected)
    return grouping


def _well_formed(content: Any) -> bool:
    if not isinstance(content, Mapping) or content.get("version") != VERSION:
        return False
    classes, levels = content.get("classes"), content.get("levels")
    return isinstance(classes, list) and isinstance(levels, list) and all(map(_is_level, levels))


def _is_level(level: Any) -> bool:
    keys = {"clusters", "seed", "ids"}
    return isinstance(level, Mapping) and level.keys() == keys and isinstance(level["ids"], list)


def _numbered(found: np.ndarray) -> np.ndarray:
    """Cluster ids renumbered by their first appearance."""
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int64)
    order[np.argsort(first, kind="stable")] = np.arange(len(first))
    return order[inverse.reshape(-1)]
