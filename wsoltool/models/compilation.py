"""The key ``model.compile``: the backbone alone through torch.compile, in place."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from typing import Any

import torch

from wsoltool.errors import ConfigError, check_choice
from wsoltool.models.backbones.base import Backbone

CompileOptions = bool | Mapping[str, Any]

#: Variants of a network that are compiled before torch gives up and runs it as it is. There is one
#: for each combination of training and test, autograd, precision, wanted features, and of one or
#: several images; torch's own limit is 8.
RECOMPILE_LIMIT = 64
_REPLAYING = ("reduce-overhead", "max-autotune")


def compile_options(value: Any, at: str) -> dict[str, Any] | None:
    """torch.compile's arguments behind a config's value; None where nothing is to be compiled.

    Args:
        value: False or None, True, or a dict of torch.compile's arguments.
        at: Config path, for the messages.

    Raises:
        ConfigError: None of these, or an argument that torch.compile does not take.
    """
    known = _arguments()
    if value is None or isinstance(value, bool):
        return {} if value else None
    if not isinstance(value, Mapping):
        expected = "True, False, or dict(mode=...) and other arguments of torch.compile"
        raise ConfigError(f"compile is {value!r}", at=at, expected=expected)
    for key in value:
        check_choice(f"torch.compile takes no argument {key!r}", key, known, at=f"{at}.{key}")
    return dict(value)


def replays(options: Mapping[str, Any]) -> bool:
    """Whether a forward overwrites what the one before it returned: CUDA graphs do that."""
    inner = options.get("options")
    asked = isinstance(inner, Mapping) and inner.get("triton.cudagraphs", False)
    return asked or options.get("backend") == "cudagraphs" or options.get("mode") in _REPLAYING


def compile_backbone(backbone: Backbone, options: Mapping[str, Any], at: str) -> None:
    """Compile a backbone with the inserts on it, at its next forward; no weight's name changes.

    The first forwards take long (seconds to minutes), and so does the first one of every variant
    (see :data:`RECOMPILE_LIMIT`); the second image size is compiled for all sizes. Limits:

    - :meth:`~wsoltool.models.backbones.base.Backbone.forward_from` runs uncompiled, with the same
      result, and so does a ``copy.deepcopy`` of the backbone.
    - There is no gradient of one feature by another one of the same forward: a head or map source
      that needs it calls ``backbone.forward(images)``, which runs uncompiled.
    - Inserts should draw and decide with tensors. What they do in Python is compiled in: one that
      reads values that differ in each batch (image ids) is compiled again for every batch.
    - The default backend may draw other random numbers than torch itself: erasers of the same seed
      may hide other cells than without compilation.
    - On GPUs, modes that replay CUDA graphs overwrite a forward's features by those of the next.

    Raises:
        ConfigError: A value that torch.compile refuses.
    """
    # torch's default backend imports it. It replaces distutils and has to come first: mmengine's
    # Runner imports that one as soon as it is made.
    import_module("setuptools")
    limit: dict[str, Any] = {}
    if "recompile_limit" in _arguments():
        limit = {"recompile_limit": RECOMPILE_LIMIT}
    else:  # an older torch has but one limit for the whole process
        import torch._dynamo.config as dynamo

        dynamo.recompile_limit = max(dynamo.recompile_limit, RECOMPILE_LIMIT)
    # What is cached on the backbone is computed now: a run on the meta device, among others.
    backbone.insert_points  # noqa: B018
    # Backends and modes are looked up by torch alone, each failing in its own way.
    try:
        backbone.compile(**{**limit, **options})
    except Exception as error:
        text = str(error).strip().partition("\n")[0]
        raise ConfigError(f"torch.compile refuses these options: {text}", at=at) from error


def _arguments() -> tuple[str, ...]:
    return tuple(name for name in signature(torch.compile).parameters if name != "model")
