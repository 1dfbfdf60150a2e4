"""Loading of pretrained weights: every tensor is accounted for, and no file can run code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from wsoltool.errors import CheckpointError, ConfigError, did_you_mean
from wsoltool.paths import data_home, data_path

if TYPE_CHECKING:
    from wsoltool.models.contracts import Backbone

Pretrained = bool | str | Mapping[str, Any]
StateDict = dict[str, Tensor]
ShapeHint = Callable[[StateDict], str | None]

logger = logging.getLogger(__name__)

_OPTIONS = ("file", "key_map", "ignore")
_WRAPPERS = ("state_dict", "model")


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
            ``state_dict`` or ``model``.
        published: torchvision's weights of this network, if there are any.
        classifier: Patterns of names in a file that the backbone has no use for.
        new: Patterns of names in ``module`` that a file need not have.
        shape_hint: Given the file's tensors, what to do about shapes that differ.

    Raises:
        ConfigError: ``spec`` is none of these.
        CheckpointError: The file is missing, damaged or not plain tensors; or a tensor is
            unexpected, missing or of another shape, all of them listed.
    """
    if spec is False or spec is None:
        return
    if isinstance(spec, Mapping):
        options = _file_options(spec)
        source = data_path(options.pop("file"))
        state = read_state_dict(source)
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


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a ``.safetensors`` or torch file, on the CPU; no code in it is run.

    Raises:
        CheckpointError: Missing, damaged, or holding anything but tensors by name.
    """
    if not path.is_file():
        raise CheckpointError(
            "no such weights file",
            at=str(path),
            hint=f"relative paths start at {data_home()} (environment variable WSOLTOOL_DATA)",
        )
    # A damaged file can fail anywhere in the readers, with any exception.
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"weights file cannot be read: {type(error).__name__}: {_first_line(error)}",
            at=str(path),
            expected="a whole file of plain tensors",
            hint="fetch it again; files with pickled objects are refused: they can run code",
        ) from error
    return _tensors_of(content, path)


def _tensors_of(content: object, path: Path) -> StateDict:
    while isinstance(content, Mapping):
        inner = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not content:
        what = f"the file holds no state dict but {type(content).__name__}"
        raise CheckpointError(what, at=str(path), expected="tensors by name")
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(
            "the file holds more than tensors: " + ", ".join(others[:10]),
            at=str(path),
            expected="tensors by name, at the top or under " + " or ".join(_WRAPPERS),
        )
    return dict(content)


def _file_options(spec: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [str(key) for key in spec if key not in _OPTIONS]
    key_map, ignore = spec.get("key_map", {}), spec.get("ignore", ())
    if unknown:
        what = f"pretrained has no option {unknown[0]!r}"
    elif not isinstance(spec.get("file"), str | Path):
        what = "pretrained names no file"
    elif not isinstance(key_map, Mapping) or not _all_text([*key_map, *key_map.values()]):
        what = f"pretrained: key_map={key_map!r}"
    elif not isinstance(ignore, list | tuple) or not _all_text(ignore):
        what = f"pretrained: ignore={ignore!r}"
    else:
        return {"file": spec["file"], "key_map": key_map, "ignore": tuple(ignore)}
    raise ConfigError(
        what,
        expected="dict(file=..., key_map={'old prefix': 'new prefix'}, ignore=('glob', ...))",
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
            hint="give a file: pretrained=dict(file='x.safetensors')",
        )
    if spec is True:
        return published["DEFAULT"]
    names = tuple(published.__members__)
    if spec not in names:
        raise ConfigError(
            f"{network} has no weights {spec!r}",
            known=names,
            hint=did_you_mean(str(spec), names) or "a file is given as pretrained=dict(file=...)",
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
            f"published weights cannot be had: {type(error).__name__}: {_first_line(error)}",
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
