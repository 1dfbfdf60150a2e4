"""Loading of pretrained weights: every tensor is accounted for, and no file can run code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from wsoltool.errors import CheckpointError, ConfigError, check_choice, did_you_mean
from wsoltool.models.weight_files import (
    StateDict,
    check_source,
    fetch_state_dict,
    first_line,
    read_state_dict,
)
from wsoltool.paths import data_path

if TYPE_CHECKING:
    from wsoltool.models.contracts import Backbone

Pretrained = bool | str | Mapping[str, Any]
ShapeHint = Callable[[StateDict], str | None]

logger = logging.getLogger(__name__)

_OPTIONS = ("file", "url", "sha256", "key_map", "ignore")
_SOURCES = ("file", "url")


@dataclass(frozen=True, slots=True)
class Fit:
    """How a file's tensors meet a module's.

    Attributes:
        loaded: Name in the module -> tensor of the file.
        ignored: Names in the file that a pattern leaves out.
        problems: One line for each tensor that is unexpected, missing or of another shape.
        mismatched: Whether any shape differs.
    """

    loaded: StateDict
    ignored: tuple[str, ...]
    problems: tuple[str, ...]
    mismatched: bool


def apply_pretrained(
    module: Backbone,
    spec: Pretrained | None,
    *,
    published: type[WeightsEnum] | None = None,
    classifier: Sequence[str] = (),
    new: Sequence[str] = (),
    shape_hint: ShapeHint = lambda state: None,
) -> None:
    """Load the weights that a backbone's ``pretrained`` asks for.

    Args:
        module: The backbone; with published weights of another preprocessing, its ``input_mean``
            and ``input_std`` are set too.
        spec: False (or None) for none; True for torchvision's default; a torchvision name such as
            ``'IMAGENET1K_V1'``; or ``dict(file=..., key_map={'old prefix': 'new prefix'},
            ignore=('fc.*',))``, the last two optional. ``file`` is ``.safetensors`` or a torch
            file, below the data home if relative; a torch file may hold its tensors under
            ``state_dict`` or ``model``. Or ``dict(url=..., sha256=..., ...)`` instead: such a
            file, see :func:`~wsoltool.models.weight_files.fetch_state_dict`.
        published: torchvision's weights of this network, if there are any.
        classifier: Patterns of names in a file that the backbone has no use for.
        new: Patterns of names in ``module`` that a file need not have.
        shape_hint: Given the file's tensors, what to do about shapes that differ.

    Raises:
        ConfigError: ``spec`` is none of these.
        CheckpointError: The file is missing, damaged, not to be had or not plain tensors; or a
            tensor is unexpected, missing or of another shape, all of them listed.
    """
    if spec is False or spec is None:
        return
    if isinstance(spec, Mapping):
        options = _file_options(spec)
        source, state = _given_weights(spec)
    else:
        weights = _published_weights(module, spec, published)
        options, source, state = {}, weights.url, _download(weights)
        _adopt_preprocessing(module, weights)
    fit = fit_state_dict(module, state, classifier=classifier, new=new, **options)
    if fit.problems:
        raise CheckpointError(
            f"the weights do not fit {type(module).__name__}: {len(fit.problems)} problems",
            at=str(source),
            expected="every tensor of the file used once\n    " + "\n    ".join(fit.problems),
            hint=(shape_hint(state) if fit.mismatched else None) or _prefix_hint(module, state),
        )
    module.load_state_dict(fit.loaded, strict=False)
    logger.info("loaded %d tensors from %s, ignored %d", len(fit.loaded), source, len(fit.ignored))


def fit_state_dict(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    classifier: Sequence[str] = (),
    new: Sequence[str] = (),
    key_map: Mapping[str, str] | None = None,
    ignore: Sequence[str] = (),
) -> Fit:
    """Compare the tensors of a file with those of ``module``, without loading them.

    ``key_map`` replaces the longest prefix that matches; ``ignore`` is matched against names
    before and after that, ``classifier`` against names after it. BatchNorm's batch counters may
    be missing, as in files from before torch 0.4.1.
    """
    wanted = module.state_dict()
    loaded: StateDict = {}
    ignored, unexpected, shapes = [], [], []
    for old, tensor in state.items():
        name = _renamed(old, key_map or {})
        if _matches(name, classifier) or _matches(name, ignore) or _matches(old, ignore):
            ignored.append(old)
        elif name in loaded:
            unexpected.append(f"{old}: a second tensor for {name}")
        elif name not in wanted:
            unexpected.append(f"{old}: unexpected, {tuple(tensor.shape)}")
        else:
            loaded[name] = tensor
            have, need = tuple(tensor.shape), tuple(wanted[name].shape)
            if have != need:
                shapes.append(f"{old}: shape {have} in the file, expected {need}")
    optional = (*new, "*num_batches_tracked")
    absent = [name for name in wanted if name not in loaded and not _matches(name, optional)]
    missing = [
        f"{name}: missing in the file, expected {tuple(wanted[name].shape)}" for name in absent
    ]
    return Fit(loaded, tuple(ignored), (*shapes, *unexpected, *missing), bool(shapes))


def _given_weights(spec: Mapping[str, Any]) -> tuple[str | Path, StateDict]:
    """Where the weights come from, and the weights."""
    if "url" in spec:
        return spec["url"], fetch_state_dict(spec["url"], spec.get("sha256"))
    path = data_path(spec["file"])
    return path, read_state_dict(path)


def _file_options(spec: Mapping[str, Any]) -> dict[str, Any]:
    """``key_map`` and ``ignore`` of a spec that is sound."""
    unknown = [str(key) for key in spec if key not in _OPTIONS]
    sources = [key for key in _SOURCES if key in spec]
    key_map, ignore = spec.get("key_map", {}), spec.get("ignore", ())
    if unknown:
        what = f"pretrained has no option {unknown[0]!r}"
    elif len(sources) != 1:
        what = f"pretrained names {'both a file and a url' if sources else 'no file and no url'}"
    elif not isinstance(spec[sources[0]], str | Path):
        what = f"pretrained: {sources[0]}={spec[sources[0]]!r}"
    elif "sha256" in spec and "file" in spec:
        what = "pretrained: sha256 is of a url, here is a file"
    elif not isinstance(key_map, Mapping) or not _all_text([*key_map, *key_map.values()]):
        what = f"pretrained: key_map={key_map!r}"
    elif not isinstance(ignore, list | tuple) or not _all_text(ignore):
        what = f"pretrained: ignore={ignore!r}"
    else:
        if "url" in spec:
            check_source(spec["url"], spec.get("sha256"))
        return {"key_map": key_map, "ignore": tuple(ignore)}
    raise ConfigError(
        what,
        expected="dict(file=... or url=..., key_map={'old prefix': 'new prefix'}, "
        "ignore=('glob', ...))",
        hint=did_you_mean(unknown[0], _OPTIONS) if unknown else None,
    )


def _all_text(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _published_weights(
    module: nn.Module, spec: bool | str, published: type[WeightsEnum] | None
) -> WeightsEnum:
    network = type(module).__name__
    if published is None:
        raise ConfigError(
            f"torchvision publishes no weights of {network}: pretrained={spec!r}",
            hint="give a file: pretrained=dict(file='x.safetensors'), or its url",
        )
    if spec is True:
        return published["DEFAULT"]
    names = tuple(published.__members__)
    check_choice(
        f"{network} has no weights {spec!r}",
        spec,
        names,
        hint="a file is given as pretrained=dict(file=...)",
    )
    return published[spec]


def _download(weights: WeightsEnum) -> StateDict:
    # Offline, refused by the server, cut short, wrong hash: each its own exception type.
    try:
        return weights.get_state_dict(
            progress=True, check_hash=True, map_location="cpu", weights_only=True
        )
    except Exception as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise CheckpointError(
            f"published weights cannot be had: {type(error).__name__}: {first_line(error)}",
            at=weights.url,
            hint=f"put the file into {folder} yourself (replacing a damaged one), "
            "or give another with pretrained=dict(file=...)",
        ) from error


def _adopt_preprocessing(module: Backbone, weights: WeightsEnum) -> None:
    preset = weights.transforms()
    module.input_mean = tuple(round(255 * value, 4) for value in preset.mean)
    module.input_std = tuple(round(255 * value, 4) for value in preset.std)


def _renamed(name: str, key_map: Mapping[str, str]) -> str:
    prefix = max((old for old in key_map if name.startswith(old)), key=len, default=None)
    return name if prefix is None else key_map[prefix] + name[len(prefix) :]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _prefix_hint(module: nn.Module, state: Mapping[str, Tensor]) -> str | None:
    # Weights of a wrapped network: 'module.conv1.weight' where 'conv1.weight' is wanted.
    wanted = module.state_dict()
    if any(name in wanted for name in state):
        return None
    first = next(iter(wanted))
    prefixes = [name.removesuffix(first) for name in state if name.endswith(f".{first}")]
    return f"add key_map={{{min(prefixes, key=len)!r}: ''}}" if prefixes else None
