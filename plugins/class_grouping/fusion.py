"""One map out of those of all levels: sections II-D and II-E of the paper.

n asked classes, h x w a feature grid, H x W the wanted size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import Tensor

from wsoltool.errors import ConfigError, ShapeError, check_number
from wsoltool.functional.maps import (
    check_interpolation,
    minmax_normalize,
    normalize_for_resizing,
    resize_maps,
)
from wsoltool.models.contracts import Fusion
from wsoltool.structures import Size, View, ViewMaps

REST = "rest"
_Change = Callable[[Tensor], Tensor]


def fuse_levels(own: Tensor, groups: Sequence[Tensor] = (), rest: Tensor | None = None) -> Tensor:
    r"""Add what a class's groups show to what it shows itself, and take away the other classes'.

    Eq. (5), with k the number of ``groups``:

    .. math:: M = M_0 + \frac{1}{k} \sum_{i=1}^k M_i - M'_0

    cut off at 0, then scaled to [0, 1]. Without groups their sum is nothing; with neither, the
    answer is :math:`M_0`, scaled.

    Args:
        own: ``(..., H, W)`` float in [0, 1], :math:`M_0`: the class's own maps.
        groups: Maps of the same shape, :math:`M_i`: of the group that holds the class, by level.
        rest: Of the same shape, :math:`M'_0`: of the other classes of the image. None is nothing.

    Returns:
        ``(..., H, W)`` float in [0, 1]; zeros where nothing stands out.

    Raises:
        ShapeError: The shapes differ.

    Example:
        >>> import torch
        >>> own, group = torch.tensor([[0.5, 1.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        >>> fuse_levels(own, [group], rest=torch.tensor([[0.0, 0.5, 1.0]]))
        tensor([[1.0000, 0.3333, 0.0000]])
    """
    others = [*groups, *([] if rest is None else [rest])]
    if any(one.shape != own.shape for one in others):
        shapes = [tuple(one.shape) for one in (own, *others)]
        raise ShapeError(f"maps of shapes {shapes} cannot be fused", expected="one shape")
    return minmax_normalize(_difference(own, groups, rest).clamp(min=0))


def _difference(own: Tensor, groups: Sequence[Tensor], rest: Tensor | None) -> Tensor:
    """Eq. (5) before it is cut off and scaled."""
    summed = own + mean_map(groups) if groups else own
    return summed if rest is None else summed - rest


class LevelFusion(Fusion):
    """Eq. (5) on branches that are named ``<level>/<branch>``, as an ``Ensemble`` names them.

    The first level is that of the classes themselves. Its branch ``rest``, if there is one, is
    :math:`M'_0` (see ``class_grouping.WithRest``). In this order: every map is resized to the
    wanted size; each branch's is scaled to [0, 1] for itself; the branches of a level are averaged
    (section II-D) and the mean is scaled to [0, 1], which makes the :math:`M_i`; then comes
    :func:`fuse_levels`. The branch ``rest`` is resized and nothing else. Branches without a ``/``
    in their names make one level: a single network's maps are fused as any other fusion does.

    Args:
        interpolation: ``bilinear`` or ``bicubic``, for enlarging raw maps.
        normalize_branches: Scale each branch's map before branches are averaged, so that networks
            of different ranges count the same; False averages raw maps.
        rest_weight: Factor of :math:`M'_0`; the paper's is 1, and 0 leaves the term out.

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self,
        interpolation: str = "bilinear",
        normalize_branches: bool = True,
        rest_weight: float = 1.0,
    ) -> None:
        check_interpolation(interpolation)
        check_number("LevelFusion: rest_weight", rest_weight)
        if not isinstance(normalize_branches, bool):
            what = f"normalize_branches={normalize_branches!r}"
            raise ConfigError(what, expected="True or False")
        self.interpolation = interpolation
        self.normalize_branches = normalize_branches
        self.rest_weight = float(rest_weight)

    def views(self) -> tuple[View, ...]:
        return (View(),)

    def fuse(self, maps: Sequence[ViewMaps], size: Size) -> Tensor:
        """Maps of one image to ``(n, H, W)`` float32 in [0, 1] at ``size``.

        Raises:
            ShapeError: There is no level, the first has nothing but ``rest``, another has a
                ``rest``, or numbers of maps differ.
            EvaluationError: A map holds NaN or infinity.
        """
        shapes = {raw.shape for view in maps for raw in view.branches.values()}
        if self.interpolation == "bilinear" and len(shapes) == 1:
            return self._fuse_small(maps, size)
        return fuse_levels(*self._terms(maps, self._resizing(size), minmax_normalize))

    def _fuse_small(self, maps: Sequence[ViewMaps], size: Size) -> Tensor:
        """The same of maps of one grid: all up to the cut-off is linear, and done before resizing.

        With eight branches, this takes a fifth of the time at 500 x 500 pixels.
        """
        scale = partial(normalize_for_resizing, size=size)
        difference = _difference(*self._terms(maps, Tensor.float, scale))
        return minmax_normalize(self._resizing(size)(difference).clamp(min=0))

    def _resizing(self, size: Size) -> _Change:
        return lambda raw: resize_maps(raw.float(), size, self.interpolation)

    def _terms(
        self, maps: Sequence[ViewMaps], resize: _Change, scale: _Change
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """Those of Eq. (5)."""
        levels, rest = self._level_maps(maps, resize, scale)
        own, *groups = levels.values()
        return own, groups, None if rest is None else self.rest_weight * rest

    def pictured(self, maps: Sequence[ViewMaps], size: Size) -> dict[str, Tensor]:
        """The map of each level and, where it counts, of the rest; none of a single level."""
        levels, rest = self._level_maps(maps, self._resizing(size), minmax_normalize)
        if rest is not None:
            levels[REST] = rest.clamp(0, 1)  # bicubic resizing leaves the range by a little
        return levels if len(levels) > 1 else {}

    def _level_maps(
        self, maps: Sequence[ViewMaps], resize: _Change, scale: _Change
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Each level's map, the classes' first; and that of the rest."""
        (view_maps,) = maps
        levels = by_level(view_maps.branches)
        raw_rest = next(iter(levels.values()), {}).pop(REST, None)
        if not all(levels.values()) or not levels:
            raise ShapeError(
                f"no maps to fuse among the branches {list(view_maps.branches)}",
                expected="branches named <level>/<branch>, and not rest alone",
            )
        if other := next((name for name, level in levels.items() if REST in level), None):
            raise ShapeError(
                f"level {other!r} has a branch {REST!r}, which would be added to its own",
                expected="the rest of the first level alone",
                hint="class_grouping.WithRest belongs to the first member",
            )
        rest = None
        if raw_rest is not None and self.rest_weight:
            rest = resize(raw_rest)
        found = {name: self._level_map(own, resize, scale) for name, own in levels.items()}
        return found, rest

    def _level_map(self, branches: Mapping[str, Tensor], resize: _Change, scale: _Change) -> Tensor:
        if len({len(raw) for raw in branches.values()}) > 1:
            counts = {name: len(raw) for name, raw in branches.items()}
            raise ShapeError(f"branches differ in their numbers of maps: {counts}")
        resized = [resize(raw) for raw in branches.values()]
        if self.normalize_branches:
            resized = [scale(one) for one in resized]
        return scale(mean_map(resized))


def mean_map(maps: Sequence[Tensor]) -> Tensor:
    """The mean of maps of one shape, without a copy of all of them."""
    return sum(maps[1:], start=maps[0]) / len(maps)


def by_level(branches: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Branches named ``<level>/<branch>`` as level -> branch -> map; no ``/`` is level ``""``.

    Example:
        >>> import torch
        >>> one = torch.ones(1, 2, 2)
        >>> found = by_level({"20/a": one, "20/b": one, "20/rest": one, "12/a": one})
        >>> {level: list(names) for level, names in found.items()}
        {'20': ['a', 'b', 'rest'], '12': ['a']}
    """
    levels: dict[str, dict[str, Tensor]] = {}
    for name, raw in branches.items():
        level, slash, branch = name.partition("/")
        levels.setdefault(level if slash else "", {})[branch if slash else name] = raw
    return levels
