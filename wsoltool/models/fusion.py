"""Fusions: which views of an image are run, and how their maps become one in [0, 1].

In this order: every branch's map of every view is resized to the wanted size (and min-max
normalised, where asked), branches are made one, then views, and the result is min-max normalised
(unless the maps are probabilities, which ``normalize="none"`` keeps).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

import torch
from torch import Tensor

from wsoltool.errors import ConfigError, EvaluationError, ShapeError, check_choice
from wsoltool.functional.maps import check_interpolation, minmax_normalize, resize_maps
from wsoltool.models.contracts import Fusion
from wsoltool.structures import Size, View, ViewMaps

REDUCTIONS = ("sum", "mean", "max")
NORMALIZATIONS = ("minmax", "none")


class MapFusion(Fusion):
    """Resizes maps, reduces them over branches, then over views; subclasses choose the views.

    Args:
        branches: ``mean`` or ``max`` over all branches, or the name of the one to take.
        normalize_branches: Min-max each branch's map before ``branches`` is applied, so that
            branches of different ranges count the same (ACoL's maximum asks for it).
        interpolation: ``bilinear`` or ``bicubic``, for enlarging raw maps.
        reduce: ``sum``, ``mean`` or ``max`` over views. Sum and mean differ in nothing but the
            raw map's range, which min-max removes.
        normalize: ``minmax``, or ``none`` for heads whose raw maps are probabilities, so that a
            fixed threshold keeps its meaning (FAM's foreground at 0.5). Not with ``sum``.

    Raises:
        ConfigError: An unknown choice, or a sum of probabilities.
    """

    def __init__(
        self,
        branches: str = "mean",
        normalize_branches: bool = False,
        interpolation: str = "bilinear",
        reduce: str = "mean",
        normalize: str = "minmax",
    ) -> None:
        check_interpolation(interpolation)
        check_choice(f"normalize={normalize!r}", normalize, NORMALIZATIONS)
        check_choice(f"reduce={reduce!r}", reduce, REDUCTIONS)
        if not isinstance(branches, str):
            raise ConfigError(f"branches={branches!r}", expected="'mean', 'max' or a branch's name")
        self.branches = branches
        self.normalize_branches = normalize_branches
        if normalize == "none" and reduce == "sum":
            raise ConfigError(
                "normalize='none' with reduce='sum': a sum of maps leaves [0, 1]",
                expected="reduce='mean' or 'max', or normalize='minmax'",
            )
        self.interpolation = interpolation
        self.reduce = reduce
        self.normalize = normalize

    def fuse(self, maps: Sequence[ViewMaps], size: Size) -> Tensor:
        """Maps of one image to ``(n, H, W)`` float32 in [0, 1] at ``size``.

        Views and branches may differ in ``h`` and ``w``. Min-max makes a constant result zeros.

        Raises:
            ShapeError: There is no view or no branch, or their numbers of maps differ.
            ConfigError: The branch asked for does not exist.
            EvaluationError: A map holds NaN or infinity, or leaves [0, 1] and is not normalised.
        """
        _check_counts(maps)
        fused = _reduce((self._fuse_view(m, size) for m in maps), self.reduce)
        # Bicubic resizing leaves the range of its input by a little.
        return minmax_normalize(fused) if self.normalize == "minmax" else fused.clamp(0, 1)

    def pictured(self, maps: Sequence[ViewMaps], size: Size) -> dict[str, Tensor]:
        """The first view's branches ``(n, H, W)`` in [0, 1] at ``size``; none where it has one.

        Each is min-max normalised for itself. ``normalize="none"`` keeps those that :meth:`fuse`
        keeps as they are; a branch that is not fused need not be a probability.

        Raises:
            ShapeError: There is no view or no branch, or their numbers of maps differ.
            EvaluationError: A map holds NaN or infinity, or is fused as it is and leaves [0, 1].
        """
        _check_counts(maps)
        branches = maps[0].branches
        if len(branches) < 2:
            return {}
        return {name: self._picture(name, raw, size) for name, raw in branches.items()}

    def _picture(self, name: str, raw: Tensor, size: Size) -> Tensor:
        resized = resize_maps(raw.float(), size, self.interpolation)
        fused = self.branches in ("mean", "max", name)
        if self.normalize == "minmax" or self.normalize_branches or not fused:
            return minmax_normalize(resized)
        _check_probabilities([raw])
        return resized.clamp(0, 1)

    def _fuse_view(self, view_maps: ViewMaps, size: Size) -> Tensor:
        branches, how = self._choose(view_maps.branches)
        if self.normalize == "none" and not self.normalize_branches:
            _check_probabilities(branches)
        resized: Iterable[Tensor]
        resized = (resize_maps(b.float(), size, self.interpolation) for b in branches)
        if self.normalize_branches:
            resized = map(minmax_normalize, resized)
        return _reduce(resized, how)

    def _choose(self, branches: Mapping[str, Tensor]) -> tuple[list[Tensor], str]:
        if self.branches in ("mean", "max"):
            return list(branches.values()), self.branches
        what = f"{type(self).__name__} finds no branch {self.branches!r} in the maps"
        known = ("mean", "max", *branches)
        check_choice(what, self.branches, known, at="model.fusion.branches")
        return [branches[self.branches]], "mean"


class SingleView(MapFusion):
    """The image as the pipeline delivers it.

    Args:
        branches: See :class:`MapFusion`.
        normalize_branches: See :class:`MapFusion`.
        interpolation: See :class:`MapFusion`.
        normalize: See :class:`MapFusion`.
    """

    def __init__(
        self,
        branches: str = "mean",
        normalize_branches: bool = False,
        interpolation: str = "bilinear",
        normalize: str = "minmax",
    ) -> None:
        super().__init__(branches, normalize_branches, interpolation, normalize=normalize)

    def views(self) -> tuple[View, ...]:
        return (View(),)


class MultiScale(MapFusion):
    """Several sizes of the image (MsCAM, section III-C of the mLDFR paper).

    Raw maps of all scales are resized and summed, so that a scale of stronger response counts for
    more; class scores come from scale 1 alone. Scales are relative to the size that the network is
    tested at. Where the pipeline delivers larger images, so that the larger scales see their
    detail, say so with ``input_scale``: with scales (1, 1.5, 2) and images resized to 448 for a
    network of 224, ``input_scale=2`` makes the views 0.5, 0.75 and 1 times the input.

    Args:
        scales: Sides relative to the network's size; each once.
        input_scale: The scale at which the pipeline delivers images.
        reduce: ``sum`` (the paper's), ``mean`` or ``max`` over the views.
        flip: Add the mirrored image at every scale.
        score_scales: The scales whose class scores are averaged.
        flip_scores: Average the scores of mirrored views of these scales too.
        branches: See :class:`MapFusion`.
        normalize_branches: See :class:`MapFusion`.
        interpolation: See :class:`MapFusion`.
        normalize: See :class:`MapFusion`.
    """

    def __init__(
        self,
        scales: Sequence[float] = (1.0, 1.5, 2.0),
        input_scale: float = 1.0,
        reduce: str = "sum",
        flip: bool = False,
        score_scales: Sequence[float] = (1.0,),
        flip_scores: bool = False,
        branches: str = "mean",
        normalize_branches: bool = False,
        interpolation: str = "bilinear",
        normalize: str = "minmax",
    ) -> None:
        super().__init__(branches, normalize_branches, interpolation, reduce, normalize)
        self.scales = _check_scales("scales", scales)
        self.score_scales = _check_scales("score_scales", score_scales)
        (self.input_scale,) = _check_scales("input_scale", (input_scale,))
        if missing := sorted(set(self.score_scales) - set(self.scales)):
            raise ConfigError(
                f"score_scales asks for scale {missing[0]:g}, which no view has",
                expected="some of " + ", ".join(f"{scale:g}" for scale in self.scales),
                hint="add it to scales, or name in score_scales where class scores come from",
            )
        self.flips = (False, True) if flip else (False,)
        self.flip_scores = flip_scores

    def views(self) -> tuple[View, ...]:
        return tuple(
            View(
                scale=scale / self.input_scale,
                flip=flip,
                scores=scale in self.score_scales and (self.flip_scores or not flip),
            )
            for scale in self.scales
            for flip in self.flips
        )


class Flip(MultiScale):
    """The image and its mirror image, their raw maps averaged.

    Args:
        flip_scores: Average the class scores of both; otherwise the upright image's alone.
        branches: See :class:`MapFusion`.
        normalize_branches: See :class:`MapFusion`.
        interpolation: See :class:`MapFusion`.
        normalize: See :class:`MapFusion`.
    """

    def __init__(
        self,
        flip_scores: bool = False,
        branches: str = "mean",
        normalize_branches: bool = False,
        interpolation: str = "bilinear",
        normalize: str = "minmax",
    ) -> None:
        super().__init__(
            scales=(1.0,),
            reduce="mean",
            flip=True,
            flip_scores=flip_scores,
            branches=branches,
            normalize_branches=normalize_branches,
            interpolation=interpolation,
            normalize=normalize,
        )


def _reduce(maps: Iterable[Tensor], how: str) -> Tensor:
    # One map at a time: a view at full image size can be hundreds of megabytes.
    combine = torch.maximum if how == "max" else torch.add
    remaining = iter(maps)
    result, count = next(remaining), 1
    for one in remaining:
        result, count = combine(result, one), count + 1
    return result / count if how == "mean" else result


def _check_probabilities(branches: Iterable[Tensor]) -> None:
    for branch in branches:
        if not ((branch >= 0) & (branch <= 1)).all():  # NaN fails too
            raise EvaluationError(
                "a localization map that is not to be normalised leaves [0, 1]",
                at="model.fusion.normalize",
                expected="probabilities in every map of the head",
                hint="for other heads write normalize='minmax'",
            )


def _check_counts(maps: Sequence[ViewMaps]) -> None:
    shapes = {tuple(b.shape) for view_maps in maps for b in view_maps.branches.values()}
    if not maps or not all(m.branches for m in maps):
        raise ShapeError("no maps to fuse", expected="one branch or more in one view or more")
    if any(len(shape) != 3 for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
        raise ShapeError(
            f"maps of shapes {sorted(shapes)} cannot be fused",
            expected="(n, h, w) with the same n in every branch and view",
        )


def _check_scales(key: str, scales: Sequence[float]) -> tuple[float, ...]:
    try:
        values = tuple(float(scale) for scale in scales)
    except (TypeError, ValueError):
        values = ()
    positive = all(isfinite(value) and value > 0 for value in values)
    if not values or not positive or len(set(values)) != len(values):
        raise ConfigError(f"{key}={scales!r}", expected="positive numbers, each once")
    return values
