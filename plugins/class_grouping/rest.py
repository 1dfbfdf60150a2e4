"""Where the other classes of an image are: the last term of Eq. (5).

B images, K classes, n asked classes, h x w a feature grid.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine.config import Config
from torch import Tensor

from wsoltool.config import plain, walk_types
from wsoltool.errors import ConfigError, check_choice, check_number
from wsoltool.functional.cams import check_class_ids
from wsoltool.functional.maps import minmax_normalize, resize_maps
from wsoltool.models.contracts import Backbone, CAMHead, MapSource
from wsoltool_plugins.class_grouping.fusion import REST

REDUCTIONS = ("max", "mean", "all")
NAME, FUSION = "class_grouping.WithRest", "class_grouping.LevelFusion"


class WithRest(MapSource):
    """Adds a branch ``rest`` to the maps of another source: those of the other present classes.

    A class is present where its probability reaches ``min_score``. The map of each present class
    (the mean over branches, each scaled to [0, 1], scaled again) is made at the feature grid; of
    those that are not the asked class, ``rest`` is the largest at each cell, their mean or their
    sum. Where no other class is present it is zeros.

    The difference is the fusion's: ``class_grouping.LevelFusion`` takes ``rest`` away, any other
    would count it among the maps, and is refused when the config is checked.

    Gradient methods go backward as many times as the neediest image of the batch has classes,
    asked or present; a class that is both is run once.

    Args:
        source: Where the maps come from; the head's own by default.
        reduce: ``max`` (our reading), ``mean`` or ``all``, which adds them up and so reaches as
            far as there are other classes.
        min_score: The probability, in [0, 1], from which on a class is present.

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self, source: MapSource | None = None, reduce: str = "max", min_score: float = 0.5
    ) -> None:
        check_choice(f"reduce={reduce!r}", reduce, REDUCTIONS)
        check_number("WithRest: min_score", min_score, highest=1)
        if isinstance(source, WithRest):
            raise ConfigError("WithRest in WithRest", expected="another source, or None")
        self.source = source
        self.reduce = reduce
        self.min_score = float(min_score)
        self.features = () if source is None else tuple(source.features)

    def check(self, head: CAMHead) -> None:
        if self.source is not None:
            self.source.check(head)

    def maps(
        self,
        backbone: Backbone,
        head: CAMHead,
        images: Tensor,
        features: Mapping[str, Tensor],
        class_ids: Tensor,
    ) -> dict[str, Tensor]:
        """The source's branches, and ``rest``: ``(B, n, h, w)``.

        Raises:
            ShapeError: A class that the head has not.
            ConfigError: The source has a branch ``rest`` already.
        """
        check_class_ids(class_ids, len(images), head.num_classes)
        present = head.scores(features) >= self.min_score  # (B, K)
        columns = _columns(present.scatter(1, class_ids, True))  # (B, m)
        if self.source is None:
            found = head.maps(features, columns)
        else:
            found = self.source.maps(backbone, head, images, features, columns)
        if REST in found:
            raise ConfigError(f"the map source has a branch {REST!r} of its own")
        same = columns[:, None, :] == class_ids[:, :, None]  # (B, n, m)
        others = present.gather(1, columns)[:, None, :] & ~same
        rest = _reduce(_class_maps(found), others, self.reduce)
        rows, picked = torch.arange(len(images), device=columns.device), same.int().argmax(dim=2)
        return {name: maps[rows[:, None], picked] for name, maps in found.items()} | {REST: rest}


def _columns(wanted: Tensor) -> Tensor:
    """``(B, K)`` bool to ``(B, m)`` int64: each row's wanted classes first, m of the longest."""
    count = int(wanted.sum(dim=1).max())
    return wanted.int().argsort(dim=1, descending=True, stable=True)[:, :count]


def _class_maps(branches: Mapping[str, Tensor]) -> Tensor:
    """Branches ``(B, m, h, w)`` to one map of each class in [0, 1], at the finest of the grids."""
    finest = max((maps.shape[-2:] for maps in branches.values()), key=lambda size: size.numel())
    size = (finest[0], finest[1])
    scaled = [minmax_normalize(resize_maps(maps, size)) for maps in branches.values()]
    return minmax_normalize(torch.stack(scaled).mean(dim=0))


def _reduce(maps: Tensor, others: Tensor, how: str) -> Tensor:
    """Maps ``(B, m, h, w)``, of which ``others`` ``(B, n, m)`` bool tells, to ``(B, n, h, w)``."""
    if how == "max":
        # Class by class: all pairs of maps at once would be the largest tensor of a test.
        rest = maps.new_zeros(*others.shape[:2], *maps.shape[-2:])
        for of_class, counts in zip(maps.unbind(dim=1), others.unbind(dim=2), strict=True):
            rest = torch.maximum(rest, of_class[:, None] * counts[:, :, None, None])
        return rest
    weights = others.to(maps.dtype)
    if how == "mean":
        weights = weights / weights.sum(dim=2, keepdim=True).clamp(min=1)
    return torch.einsum("bnm,bmhw->bnhw", weights, maps)


def fusion_problems(config: Config) -> list[ConfigError]:
    """A fusion that would add the other classes' maps instead of taking them away."""
    model = plain(config.get("model")) or {}
    if NAME not in walk_types(model.get("map_source")):
        return []
    said = (model.get("fusion") or {}).get("type", "SingleView")  # the toolbox's own default
    if said == FUSION:
        return []
    return [
        ConfigError(
            f"the fusion {said!r} would add the other classes' map to the asked one's",
            at="model.map_source.type",
            expected=f"model.fusion=dict(type={FUSION!r}), which takes it away",
        )
    ]
