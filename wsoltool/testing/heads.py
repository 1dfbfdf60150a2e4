"""Checks of what turns features into scores and maps: heads, map sources, losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from wsoltool.models.contracts import Backbone, CAMHead, Loss, MapSource
from wsoltool.structures import Samples, Size
from wsoltool.testing.requirements import (
    Unchanged,
    require,
    require_branches,
    require_close,
    require_finite,
    require_shape,
    seeded,
)
from wsoltool.testing.samples import random_samples


@seeded
def check_head(
    head: CAMHead,
    channels: Mapping[str, int],
    *,
    labels: Sequence[str] = ("index",),
    grid: Size = (7, 5),
) -> None:
    """Check a CAM head: taps, scores, losses with gradients, maps for any classes, part maps.

    Args:
        head: Built, and bound to its backbone if it needs one. Its mode and gradients are reset.
        channels: Feature name -> channels of the features to make up.
        labels: The kinds of labels that it trains on, see :func:`random_samples`.
        grid: h, w of the features.
    """
    require(isinstance(head, CAMHead), f"{type(head).__name__} is no CAMHead")
    require(isinstance(head.num_classes, int), "num_classes is not an integer")
    unknown = set(head.taps) - set(channels)
    require(not unknown, f"taps unknown features {sorted(unknown)}")
    features = {name: torch.rand(3, count, *grid) for name, count in channels.items()}
    for kind in labels:
        _check_head_training(head, features, random_samples(3, head.num_classes, kind))
    head.eval()
    with Unchanged(features, head), torch.no_grad():
        _check_head_scores(head, features)
        _check_head_maps(head, features)
        _check_head_part_maps(head, features)


def _check_head_training(head: CAMHead, features: dict[str, Tensor], samples: Samples) -> None:
    head.train()
    head.zero_grad()
    with Unchanged({**features, "labels": samples.labels}):
        losses = head.loss(features, samples)
    require(any("loss" in name for name in losses), f"no loss among {sorted(losses)}")
    for name, value in losses.items():
        require(value.ndim == 0, f"{name} is not a scalar but {tuple(value.shape)}")
        require_finite(name, value)
    total = torch.stack([value for name, value in losses.items() if "loss" in name]).sum()
    parameters = [p for p in head.parameters() if p.requires_grad]
    if parameters:
        require(total.requires_grad, "the losses have no gradient by the head's parameters")
        total.backward()
        reached = [p.grad for p in parameters if p.grad is not None]
        require(bool(reached), "the losses reach none of the head's parameters")
        for gradient in reached:
            require_finite("a gradient of the losses", gradient)
    head.zero_grad()


def _check_head_scores(head: CAMHead, features: dict[str, Tensor]) -> None:
    logits, scores = head.logits(features), head.scores(features)
    for name, value in (("logits", logits), ("scores", scores)):
        require_shape(name, value, (3, head.num_classes))
        require_finite(name, value)
    require(bool((scores >= 0).all() and (scores <= 1).all()), "scores leave [0, 1]")
    require(torch.equal(logits, head.logits(features)), "logits at test are random")
    alone = head.logits({name: value[:1] for name, value in features.items()})
    require_close("logits of an image depend on the rest of the batch", alone, logits[:1])


def _check_head_maps(head: CAMHead, features: dict[str, Tensor]) -> None:
    class_ids = torch.randint(head.num_classes, (3, 4))
    maps = head.maps(features, class_ids)
    require_branches(maps, (3, 4))
    alone = head.maps({name: value[:1] for name, value in features.items()}, class_ids[:1, 2:3])
    require(alone.keys() == maps.keys(), "the branches depend on what is asked")
    for name, value in alone.items():
        breach = f"map {name!r} depends on the other images or classes asked"
        require_close(breach, value, maps[name][:1, 2:3])


def _check_head_part_maps(head: CAMHead, features: dict[str, Tensor]) -> None:
    maps = head.part_maps(features)
    if maps is None:
        return
    proper = maps.ndim == 4 and len(maps) == 3 and 0 not in maps.shape
    require(proper, f"part maps are not (3, P, h, w) but {tuple(maps.shape)}")
    require_finite("part maps", maps)
    require(bool((maps >= 0).all() and (maps <= 1).all()), "part maps leave [0, 1]")
    alone = head.part_maps({name: value[:1] for name, value in features.items()})
    require(alone is not None, "part maps are there for some images only")
    assert alone is not None
    require_close("part maps of an image depend on the rest of the batch", alone, maps[:1])


@seeded
def check_map_source(
    source: MapSource,
    backbone: Backbone,
    head: CAMHead,
    *,
    image_size: Size = (32, 40),
) -> None:
    """Check a map source on a backbone and a head, both in evaluation, parameters frozen or not.

    Args:
        source: The component.
        backbone: Any backbone, best a small one; put in evaluation mode.
        head: Any head that fits it; put in evaluation mode.
        image_size: H, W of the images.
    """
    require(isinstance(source, MapSource), f"{type(source).__name__} is no MapSource")
    for module in (backbone, head):
        module.eval()
        module.zero_grad()
    images = torch.randn(2, 3, *image_size)
    with torch.no_grad(), backbone.also((*head.taps, *source.features)):
        features = backbone(images)
    class_ids = torch.randint(head.num_classes, (2, 3))
    parameters = [*backbone.parameters(), *head.parameters()]
    trainable = [p.requires_grad for p in parameters]
    inputs = {"images": images, "class_ids": class_ids, **features}
    try:
        with Unchanged(inputs, backbone, head), torch.no_grad():
            maps = source.maps(backbone, head, images, features, class_ids)
            one = source.maps(backbone, head, images, features, class_ids[:, 1:2])
            require(not torch.is_grad_enabled(), "autograd was left switched on")
            for parameter in parameters:
                parameter.requires_grad_(False)
            frozen = source.maps(backbone, head, images, features, class_ids)
    finally:
        for parameter, flag in zip(parameters, trainable, strict=True):
            parameter.requires_grad_(flag)
    require_branches(maps, (2, 3))
    require(all(p.grad is None for p in parameters), "parameters were left with a gradient")
    for name, value in maps.items():
        require(not value.requires_grad, f"map {name!r} still hangs on its graph")
        require_close(f"map {name!r} changes with frozen parameters", frozen[name], value)
        require_close(f"map {name!r} depends on the classes asked", one[name], value[:, 1:2])


@seeded
def check_loss(
    loss: Loss, *, num_classes: int = 5, labels: Sequence[str] = ("index", "soft")
) -> None:
    """Check a loss: a finite scalar with a gradient, and probabilities in [0, 1].

    Args:
        loss: The component.
        num_classes: K of the logits to make up.
        labels: The kinds of labels that it understands, see :func:`random_samples`.
    """
    require(isinstance(loss, Loss), f"{type(loss).__name__} is no Loss")
    for kind in labels:
        logits = torch.randn(4, num_classes, requires_grad=True)
        samples = random_samples(4, num_classes, kind)
        with Unchanged({"logits": logits, "labels": samples.labels}):
            value = loss(logits, samples)
        require_shape("the loss", value, ())
        require_finite("the loss", value)
        require(value.requires_grad, "the loss has no gradient by the logits")
        (gradient,) = torch.autograd.grad(value, logits)
        require_finite("the loss's gradient", gradient)
        probabilities = loss.probabilities(logits)
        require_shape("probabilities", probabilities, (4, num_classes))
        inside = (probabilities >= 0) & (probabilities <= 1)
        require(bool(inside.all()), "probabilities leave [0, 1]")
