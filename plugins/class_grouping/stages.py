"""From classes to groups to networks of groups, and all networks put together.

One plan makes the paper's stages: train the classes, group their classifier rows, train the groups,
group those ..., then fuse. ``ClusterClasses`` and ``TrainLevel`` can stand in a config's list of
stages as well; its last one trains, as a ``TrainLevel`` does. ``FuseLevels`` needs a plan, for the
ensemble that it leaves is in no stage's config.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from wsoltool.config import load_config, plain, with_overrides
from wsoltool.engine.checkpoints import read_checkpoint
from wsoltool.engine.ensembles import write_ensemble
from wsoltool.engine.runner import seed_of
from wsoltool.engine.scoring import load_localizer
from wsoltool.engine.stage_list import LAST
from wsoltool.engine.stages import Stage, StageWork
from wsoltool.engine.train_stage import CONFIG, Train
from wsoltool.errors import CheckpointError, ConfigError, is_whole
from wsoltool_plugins.class_grouping.grouping import (
    Grouping,
    cluster_rows,
    read_groups,
    write_groups,
)
from wsoltool_plugins.class_grouping.tree import write_tree

GROUPS = "groups.json"
TREE = ("tree.txt", "tree.png")
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


class ClusterClasses(Stage):
    """Groups the classes of a trained network by k-means on its head's class vectors.

    Leaves ``groups.json``, this level and those before it, and their tree: ``tree.txt`` and
    ``tree.png``.

    Args:
        name: Of the stage.
        of: The stage that trained the network.
        clusters: Number of groups.
        previous: The stage whose groups that network was trained on; None where it was trained on
            single classes.
        seed: Of k-means; ``randomness.seed`` of the config unless given.

    Raises:
        ConfigError: A value that cannot be used.
    """

    artefacts = (GROUPS, *TREE)

    def __init__(
        self,
        name: str,
        of: str,
        clusters: int,
        previous: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(name)
        if not is_whole(clusters, 1):
            raise ConfigError(f"clusters={clusters!r}", expected="an integer of 1 or more")
        check_seed(seed)
        self.of, self.clusters, self.previous, self.seed = of, clusters, previous, seed
        self.needs = (of,) if previous is None else (of, previous)

    def settings(self, config: Config) -> dict[str, Any]:
        seed = seed_of(config) if self.seed is None else self.seed
        found = {"of": self.of, "clusters": self.clusters, "seed": seed}
        return found if self.previous is None else {**found, "previous": self.previous}

    def run(self, work: StageWork) -> None:
        """Group the rows and write the three files.

        Raises:
            ConfigError: The head has no class vectors, or fewer classes than ``clusters``.
            DataError: Its rows cannot be told apart.
        """
        classes, vectors = class_vectors(work.folders[self.of])
        if self.previous is None:
            grouping = Grouping(classes)
        else:
            grouping = read_groups(work.folders[self.previous] / GROUPS)
        wanted = grouping.names(len(grouping.levels))
        _check_trained_on(self.of, classes, wanted, f"the {len(wanted)} groups of `previous`")
        seed = self.settings(work.config)["seed"]
        grouping = grouping.with_level(cluster_rows(vectors, self.clusters, seed).tolist(), seed)
        write_groups(grouping, work.folder / GROUPS)
        write_tree(grouping, work.folder)


def class_vectors(folder: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Class names, and the head's ``(K, D)`` float32 class vectors, of a stage that trained.

    Args:
        folder: Of the stage: its ``last.pth``, and the config beside it.

    Raises:
        ConfigError: The head has no class vectors, or the config is not there.
        CheckpointError: The checkpoint is of another model, or names no classes.
    """
    model, meta = load_localizer(load_config(folder / CONFIG), folder / LAST)
    vectors = model.head.class_vectors()
    if vectors is None:
        raise ConfigError(
            f"{type(model.head).__name__} has no vectors by which classes can be compared",
            at="model.head",
            expected="a head with class_vectors(), such as class_grouping.BranchesHead",
        )
    names = meta.get("classes") or ()
    if len(names) != len(vectors):
        what = f"the checkpoint names {len(names)} classes, its model has {len(vectors)}"
        raise CheckpointError(what, at=str(folder / LAST))
    return tuple(names), vectors.detach().float().cpu().numpy()


def _check_trained_on(stage: str, classes: Sequence[str], wanted: Sequence[str], what: str) -> None:
    if tuple(classes) != tuple(wanted):
        raise ConfigError(
            f"stage {stage!r} was trained on {len(classes)} classes, and not on {what}",
            expected=f"a network of {', '.join(wanted[:3])}{', ...' if len(wanted) > 3 else ''}",
        )


class TrainLevel(Train):
    """Trains the config's network on the groups of a level instead of on classes.

    Its three data sets are seen through :class:`~wsoltool_plugins.class_grouping.grouped.\
GroupedClasses`, and the head has as many classes as there are groups; validation is of groups.

    Args:
        name: Of the stage.
        num_classes: How many groups (or classes) there are.
        groups: The stage that made the groups; None for the classes themselves.
        level: Of the groups in that stage's file: 1 for the first grouping.
        config: Overrides of the config, see :class:`~wsoltool.engine.train_stage.Train`.
        needs: Further stages that must be finished.

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self,
        name: str,
        num_classes: int,
        groups: str | None = None,
        level: int = 1,
        config: Mapping[str, Any] | None = None,
        needs: Sequence[str] = (),
    ) -> None:
        super().__init__(name, config, needs if groups is None else (*needs, groups))
        for key, value in (("num_classes", num_classes), ("level", level)):
            if not is_whole(value, 1):
                raise ConfigError(f"{key}={value!r}", expected="an integer of 1 or more")
        self.num_classes, self.groups, self.level = num_classes, groups, level

    def training_config(self, config: Config, folders: Mapping[str, Path]) -> Config:
        trained = super().training_config(config, folders)
        overrides: dict[str, Any] = {"model.head.num_classes": self.num_classes}
        if self.groups is not None:
            file = str(folders[self.groups] / GROUPS)
            for loader, dataset in _datasets(trained):
                overrides[f"{loader}.dataset"] = {
                    "_delete_": True,
                    "type": "class_grouping.GroupedClasses",
                    "dataset": dataset,
                    "groups": file,
                    "level": self.level,
                }
        return with_overrides(trained, overrides)


def _datasets(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each loader's data set; where there is none the check of the config says what is wrong."""
    for loader in LOADERS:
        settings = plain(config.get(loader))
        dataset = settings.get("dataset") if isinstance(settings, Mapping) else None
        if isinstance(dataset, Mapping):
            yield loader, dict(dataset)


class FuseLevels(Stage):
    """Puts the networks of all levels together: ``last.pth`` of an ``Ensemble``.

    Nothing is trained; the ensemble's members are called after the stages. Beside it lie the tree
    of these levels as text and picture, and their groups.

    Args:
        name: Of the stage.
        levels: The stages that trained, each once: that of the single classes first, then one for
            each level of groups.
        groups: The stage that made the last level's groups.

    Raises:
        ConfigError: There are not two levels or more, or one is named twice.
    """

    artefacts = (LAST, GROUPS, *TREE)

    def __init__(self, name: str, levels: Sequence[str], groups: str) -> None:
        super().__init__(name)
        if isinstance(levels, str) or len(levels) < 2:
            raise ConfigError(f"levels={levels!r}", expected="names of two stages or more")
        if len(set(levels)) != len(levels):
            raise ConfigError(f"levels={levels!r}", expected="each stage once")
        self.levels, self.groups = tuple(levels), groups
        self.needs = (*self.levels, groups)

    def settings(self, config: Config) -> dict[str, Any]:
        return {"levels": list(self.levels), "groups": self.groups}

    def run(self, work: StageWork) -> None:
        """Write the checkpoint and the tree.

        Raises:
            DataError: The groups have fewer levels than there are networks.
            ConfigError: A network was not trained on the groups of its level.
            CheckpointError: A checkpoint cannot be read.
        """
        grouping = read_groups(work.folders[self.groups] / GROUPS)
        grouping = grouping.first_levels(len(self.levels) - 1)
        classes = {name: grouping.ids(level) for level, name in enumerate(self.levels)}
        checkpoints = {name: work.folders[name] / LAST for name in self.levels}
        self._check_levels(checkpoints, grouping)
        write_groups(grouping, work.folder / GROUPS)
        write_tree(grouping, work.folder)
        write_ensemble(work.folder / LAST, checkpoints, classes)

    def _check_levels(self, checkpoints: Mapping[str, Path], grouping: Grouping) -> None:
        # As many classes as a level has groups are not yet its groups.
        for level, (name, path) in enumerate(checkpoints.items()):
            classes = read_checkpoint(path).get("meta", {}).get("classes") or ()
            what = f"the groups of level {level} of stage {self.groups!r}"
            if not level:
                what = f"the single classes of stage {self.groups!r}"
            _check_trained_on(name, classes, grouping.names(level), what)


def check_seed(seed: object) -> None:
    """Refuse what is no seed of k-means."""
    if seed is not None and not is_whole(seed, 0):
        raise ConfigError(f"seed={seed!r}", expected="a whole number, or None")
