"""Checks of what changes images or features: recalibrations, erasers, poolings, augmentations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from wsoltool.models.contracts import (
    BatchAugmentation,
    Eraser,
    MaskEraser,
    Pooling,
    Recalibration,
)
from wsoltool.structures import Hiding, Samples
from wsoltool.testing.requirements import (
    Unchanged,
    require,
    require_close,
    require_finite,
    require_same_kind,
    require_shape,
    seeded,
)
from wsoltool.testing.samples import random_samples


@seeded
def check_recalibration(module: Recalibration, channels: int) -> None:
    """Check a recalibration: shapes kept in both modes, gradients, images kept apart at test.

    Args:
        module: The component, built for ``channels``.
        channels: C of the features to make up.
    """
    require(isinstance(module, Recalibration), f"{type(module).__name__} is no Recalibration")
    for grid in ((8, 8), (7, 5)):
        features = torch.randn(4, channels, *grid)
        module.train()
        _check_passes_gradient(module, features)
        module.eval()
        with Unchanged({"features": features}, module), torch.no_grad():
            out = module(features)
            require_same_kind("the output at test", out, features)
            require_close("an image's output depends on the batch", module(features[:1]), out[:1])


@seeded
def check_eraser(
    eraser: Eraser, channels: int, *, num_classes: int = 5, labels: Sequence[str] = ("index",)
) -> None:
    """Check an eraser: identity at test; in training the shape, its gradient, torch's generator.

    Of a :class:`~wsoltool.models.contracts.MaskEraser` also what it tells: the mask is what its
    output was multiplied by, and its cases are those that it names.

    Args:
        eraser: The component, built for ``channels``.
        channels: C of the features to make up.
        num_classes: K of the labels to make up.
        labels: The kinds of labels that it understands, see :func:`random_samples`.
    """
    require(isinstance(eraser, Eraser), f"{type(eraser).__name__} is no Eraser")
    for kind in labels:
        samples = random_samples(4, num_classes, kind)
        features = torch.rand(4, channels, 9, 7)
        eraser.eval()
        with Unchanged({"features": features, "labels": samples.labels}, eraser):
            require(torch.equal(eraser(features, samples), features), "it changes test features")
        eraser.train()
        with Unchanged({"labels": samples.labels}):
            _check_passes_gradient(partial(eraser, samples=samples), features)
            _check_repeats(partial(eraser, features, samples))
            if isinstance(eraser, MaskEraser):
                _check_hiding(eraser, features, eraser(features, samples))
    eraser.eval()


@seeded
def check_pooling(pooling: Pooling, channels: int) -> None:
    """Check a pooling: shapes in both modes, gradients, images kept apart at test.

    Args:
        pooling: The component.
        channels: C of the features to make up.
    """
    require(isinstance(pooling, Pooling), f"{type(pooling).__name__} is no Pooling")
    for grid in ((8, 8), (7, 5), (1, 1)):
        features = torch.randn(4, channels, *grid)
        leaf = features.clone().requires_grad_()
        with Unchanged({"features": leaf}):
            out = pooling.train()(leaf)
        _check_pooled("the output in training", out, features)
        require(out.requires_grad, "the output in training has no gradient by the features")
        (gradient,) = torch.autograd.grad(out.sum(), leaf)
        require_finite("the gradient by the features", gradient)
        pooling.eval()
        with Unchanged({"features": features}, pooling), torch.no_grad():
            out = pooling(features)
            _check_pooled("the output at test", out, features)
            require_close("an image's output depends on the batch", pooling(features[:1]), out[:1])


@seeded
def check_batch_augmentation(
    augmentation: BatchAugmentation, *, num_classes: int = 5, labels: Sequence[str] = ("index",)
) -> None:
    """Check a batch augmentation: shapes, labels, torch's generator, inputs left alone.

    Args:
        augmentation: The component.
        num_classes: K of the labels to make up.
        labels: The kinds of labels that it understands, see :func:`random_samples`.
    """
    known = isinstance(augmentation, BatchAugmentation)
    require(known, f"{type(augmentation).__name__} is no BatchAugmentation")
    for kind in labels:
        samples = random_samples(4, num_classes, kind)
        images = torch.randn(4, 3, 33, 30)
        with Unchanged({"images": images, "labels": samples.labels}):
            out, new = augmentation(images, samples)
        require_same_kind("the images", out, images)
        require(isinstance(new, Samples) and len(new) == 4, "the samples were lost")
        shapes = ((4,), (4, num_classes))
        require(tuple(new.labels.shape) in shapes, f"labels of shape {tuple(new.labels.shape)}")
        _check_repeats(partial(_augmented, augmentation, images, samples))


def _check_passes_gradient(function: Callable[[Tensor], Tensor], features: Tensor) -> None:
    leaf = features.clone().requires_grad_()
    with Unchanged({"features": leaf}):
        out = function(leaf)
    require_same_kind("the output in training", out, features)
    require(out.requires_grad, "the output in training has no gradient by the features")
    (gradient,) = torch.autograd.grad(out.sum(), leaf)
    require_finite("the gradient by the features", gradient)


def _check_pooled(what: str, out: Tensor, features: Tensor) -> None:
    require_shape(what, out, features.shape[:2])
    require(out.dtype == features.dtype, f"{what}: {out.dtype} instead of {features.dtype}")
    require_finite(what, out)


def _check_hiding(eraser: MaskEraser, features: Tensor, out: Tensor) -> None:
    hiding, (batch, _, *grid) = eraser.hiding, features.shape
    if not isinstance(hiding, Hiding):
        raise AssertionError("hiding does not tell what was hidden")
    kept = hiding.kept
    require_shape("hiding.kept", kept, (batch, *grid))
    known = kept.dtype == torch.bool or kept.is_floating_point()
    require(known, f"hiding.kept is {kept.dtype}, neither bool nor float")
    require(bool(((kept >= 0) & (kept <= 1)).all()), "hiding.kept leaves [0, 1]")
    require_close("the output is not the features times hiding.kept", out, features * kept[:, None])
    if hiding.attention is not None:
        require_shape("hiding.attention", hiding.attention, (batch, *grid))
        require_finite("hiding.attention", hiding.attention)
        require(bool((hiding.attention >= 0).all()), "hiding.attention is negative somewhere")
    require((hiding.cases is None) == (not eraser.cases), "hiding.cases and cases: one is missing")
    if hiding.cases is not None:
        require_shape("hiding.cases", hiding.cases, (batch,))
        require(hiding.cases.dtype == torch.int64, f"hiding.cases is {hiding.cases.dtype}")
        inside = (hiding.cases >= 0) & (hiding.cases < len(eraser.cases))
        require(bool(inside.all()), f"hiding.cases has other cases than {', '.join(eraser.cases)}")


def _augmented(augmentation: BatchAugmentation, images: Tensor, samples: Samples) -> Tensor:
    return augmentation(images, samples)[0]


def _check_repeats(function: Callable[[], Tensor]) -> None:
    torch.manual_seed(1)
    first = function()
    torch.manual_seed(1)
    require(torch.equal(first, function()), "random numbers do not come from torch's generator")
