"""The paper's training as one plan: all levels, and the model that they make together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from mmengine.config import Config

from wsoltool.config import plain, walk_types, with_overrides
from wsoltool.engine.stages import Stage, StagePlan
from wsoltool.errors import ConfigError, is_whole
from wsoltool.models.ensemble_config import member_of
from wsoltool_plugins.class_grouping.rest import FUSION, NAME, WithRest
from wsoltool_plugins.class_grouping.stages import (
    ClusterClasses,
    FuseLevels,
    TrainLevel,
    check_seed,
)


class Levels(StagePlan):
    """Class grouping: a network for the classes, and for each of ever fewer groups of them.

    With levels (20, 12, 8) the stages are ``level_20``, ``groups_12``, ``level_12``, ``groups_8``,
    ``level_8`` and ``fused_20_12_8``. Fewer of the same levels train nothing anew: in the work
    directory of that run, ``stages.levels=20,12`` puts the first two networks together as
    ``fused_20_12``. One level alone is its network, without an ensemble.

    The maps follow from the config at test: each network's by ``model.map_source``, the first's
    with the other classes' added by :class:`~wsoltool_plugins.class_grouping.rest.WithRest`, fused
    by ``model.fusion``, which is a :class:`~wsoltool_plugins.class_grouping.fusion.LevelFusion`.
    They may be changed without training.

    Args:
        levels: The number of classes, then of groups, falling; one number is one level.
        rest: How the other classes' maps become one (``max``, ``mean`` or ``all``); None leaves
            them out.
        min_score: The probability from which on a class counts among the others.
        seed: Of k-means; ``randomness.seed`` of the config unless given.

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self,
        levels: int | Sequence[int] = (20, 12, 8, 5),
        rest: str | None = "max",
        min_score: float = 0.5,
        seed: int | None = None,
    ) -> None:
        counts = levels if isinstance(levels, list | tuple) else [levels]
        whole = bool(counts) and all(is_whole(count, 2) for count in counts)
        if not whole or any(more <= fewer for more, fewer in pairwise(counts)):
            raise ConfigError(
                f"levels={levels!r}",
                expected="whole numbers of 2 or more, falling, that of the classes first",
            )
        WithRest(reduce=rest or "max", min_score=min_score)
        check_seed(seed)
        self.levels = tuple(counts)
        self.rest, self.min_score, self.seed = rest, min_score, seed

    def stages(self, config: Config) -> Sequence[Stage]:
        """In running order.

        Raises:
            ConfigError: The head has another number of classes than the first level.
        """
        self._check_first(config)
        first, *others = self.levels
        stages: list[Stage] = [TrainLevel(_level(first), first)]
        before: str | None = None
        for level, (outer, count) in enumerate(zip(self.levels, others, strict=False), start=1):
            groups = f"groups_{count}"
            stages += [
                ClusterClasses(groups, _level(outer), count, before, self.seed),
                TrainLevel(_level(count), count, groups, level),
            ]
            before = groups
        if before is not None:
            name = "_".join(["fused", *map(str, self.levels)])
            stages.append(FuseLevels(name, [_level(count) for count in self.levels], before))
        return stages

    def _check_first(self, config: Config) -> None:
        head = plain(config.get("model", {})).get("head") or {}
        said = head.get("num_classes", self.levels[0])
        if said != self.levels[0]:
            raise ConfigError(
                f"the first level has {self.levels[0]} classes, the head has {said}",
                at="stages.levels",
                expected=f"levels=({said}, ...), the classes themselves first",
            )

    def tested(self, config: Config) -> Config:
        """The config with the ensemble of all levels; that of the network where it is one.

        Raises:
            ConfigError: ``model.fusion`` is another than ``LevelFusion``, or ``model.map_source``
                has a ``WithRest`` of its own.
        """
        model = plain(config.model)
        if len(self.levels) == 1:
            return with_overrides(config, {"model.head.num_classes": self.levels[0]})
        fusion = model.get("fusion") or {"type": FUSION}
        if fusion.get("type") != FUSION:
            raise ConfigError(
                f"the levels are fused by {fusion.get('type')!r}",
                at="model.fusion.type",
                expected=f"{FUSION}, which knows the levels apart",
            )
        if NAME in walk_types(model.get("map_source")):
            raise ConfigError(
                f"the first level's maps are put into {NAME} already",
                at="model.map_source.type",
                expected="the source of a single network's maps",
                hint="stages.rest and stages.min_score are its options",
            )
        members = {_level(count): _member(model, count) for count in self.levels}
        if self.rest is not None:
            own = members[_level(self.levels[0])]
            own["map_source"] = self._with_rest(own.get("map_source"))
        ensemble = {"_delete_": True, "type": "Ensemble", "members": members, "fusion": fusion}
        if model.get("boxes") is not None:
            ensemble["boxes"] = model["boxes"]
        return with_overrides(config, {"model": ensemble})

    def _with_rest(self, source: Mapping[str, Any] | None) -> dict[str, Any]:
        options = {"reduce": self.rest, "min_score": self.min_score}
        return {"type": NAME, "source": source, **options}


def _level(count: int) -> str:
    return f"level_{count}"


def _member(model: Mapping[str, Any], num_classes: int) -> dict[str, Any]:
    own = member_of(model)
    return {**own, "head": {**own["head"], "num_classes": num_classes}}
