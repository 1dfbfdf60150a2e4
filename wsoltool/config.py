"""Reads config files: where they are looked for, how options override them, what is refused.

A config is a Python file of dicts. Names that start with an underscore are the file's own
variables and are dropped; every other top-level name is a key that the tools read, so that a
misspelled one is found (:mod:`wsoltool.preflight`).
"""

from __future__ import annotations

import logging
import os
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger

from wsoltool.config_text import OrderedConfig
from wsoltool.errors import ConfigError, check_choice, did_you_mean

CONFIG_PACKAGE = "wsoltool_configs"
#: Parts of a model whose entries have names of their own, and what one of them is.
_NAMED = {"inserts": "group {!r} of inserts", "networks": "network {!r}", "members": "member {!r}"}


def load_config(name: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config, apply overrides, drop its private variables.

    Args:
        name: A file, or the name of a bundled config such as ``cam/cam_small_creatures.py``.
        options: Dotted key -> value, from ``--cfg-options``.

    Raises:
        ConfigError: No such file, a Python error in it, or an override of a missing part.
    """
    path = find_config(name)
    # Configs of plugin packages inherit from the bundled bases through this variable.
    os.environ["WSOLTOOL_CONFIGS"] = str(config_root())
    try:
        with _without_chatter():
            config = Config.fromfile(path, import_custom_modules=False)
    except Exception as error:
        _drop_locals(error)
        raise _unreadable(path, error) from error
    if options:
        _check_options(config, options, path)
        try:
            config.merge_from_dict(dict(options))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ConfigError(
                f"--cfg-options do not fit the config: {error}", at=str(path)
            ) from error
    for key in [key for key in config if key.startswith("_")]:
        config.pop(key)
    return OrderedConfig(config._cfg_dict, filename=config.filename)


def with_overrides(config: Config, overrides: Mapping[str, Any]) -> Config:
    """A copy of a config with parts overridden; the config itself stays as it is.

    Args:
        config: As :func:`load_config` returns it.
        overrides: What a config that inherits from this one would say: a dict is merged into the
            dict that stands there (``_delete_=True`` replaces it), all else replaces what stands
            there. Keys may be dotted, as in ``--cfg-options``.

    Raises:
        ConfigError: A dict is to be merged into something that is none.

    Example:
        >>> config = Config({"model": {"head": {"num_classes": 10, "bias": True}}})
        >>> with_overrides(config, {"model": {"head": {"num_classes": 3}}}).model
        {'head': {'num_classes': 3, 'bias': True}}
        >>> with_overrides(config, {"model.head": {"_delete_": True, "num_classes": 3}}).model
        {'head': {'num_classes': 3}}
    """
    tree = {key: plain(config[key]) for key in config}
    copy = OrderedConfig(tree, filename=config.filename)
    try:
        for key, value in overrides.items():
            copy.merge_from_dict({key: plain(value)})
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(f"overrides do not fit the config: {error}") from error
    return copy


def config_root() -> Path:
    """The folder of the configs that come with the toolbox."""
    spec = find_spec(CONFIG_PACKAGE)
    assert spec is not None, "the package wsoltool_configs is part of every installation"
    return Path(next(iter(spec.submodule_search_locations or ())))


def bundled_configs() -> dict[str, Path]:
    """The configs that come with the toolbox, by their name below ``configs/``."""
    root = config_root()
    return {
        path.relative_to(root).as_posix(): path
        for path in sorted(root.rglob("*.py"))
        if "_base_" not in path.relative_to(root).parts
    }


def find_config(name: str | Path) -> Path:
    """The file behind a path or a bundled name.

    Raises:
        ConfigError: Neither exists; near bundled names are listed.
    """
    path = Path(name)
    if path.is_file():
        return path
    bundled = bundled_configs()
    short = path.as_posix().removeprefix("configs/")
    if short in bundled:
        return bundled[short]
    raise ConfigError(
        f"config {str(name)!r} not found",
        expected="a .py file, or the name of a bundled config",
        known=bundled,
        hint=did_you_mean(short, bundled),
    )


def _unreadable(path: Path, error: Exception) -> ConfigError:
    if isinstance(error, SyntaxError) and error.lineno:
        return ConfigError(f"not valid Python: {error.msg}", at=f"{path}:{error.lineno}")
    if isinstance(error, FileNotFoundError):
        return ConfigError(f"a base config is missing: {error}", at=str(path))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    at = f"{path}:{frames[-1].lineno}" if frames else str(path)
    hint = None
    if isinstance(error, (IndexError, TypeError)):
        hint = "a value that replaces a dict of a base needs dict(_delete_=True, ...)"
    detail = f"{type(error).__name__}: {error}".rstrip(": ")
    return ConfigError(f"the config cannot be read: {detail}", at=at, hint=hint)


@contextmanager
def _without_chatter() -> Iterator[None]:
    # mmengine tells of every variable that it replaces.
    logger = MMLogger.get_current_instance()
    logger.addFilter(_is_warning)
    try:
        yield
    finally:
        logger.removeFilter(_is_warning)


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def _drop_locals(error: Exception) -> None:
    # mmengine leaves its temporary files open in frames that fail; they close with the frame.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        traceback.clear_frames(error.__traceback__)


def _check_options(config: Config, options: Mapping[str, Any], path: Path) -> None:
    for dotted, value in options.items():
        keys = dotted.split(".")
        _check_option(config.to_dict(), keys, dotted, path)
        if value is None and len(keys) > 2 and keys[0] == "model" and keys[-2] in _NAMED:
            # These names are free: a misspelled one would leave nothing out, silently.
            what = f"--cfg-options {dotted}: no {_NAMED[keys[-2]].format(keys[-1])} to leave out"
            check_choice(what, keys[-1], _children(_at(config.to_dict(), keys[:-1])), at=str(path))


def _check_option(node: Any, keys: list[str], dotted: str, path: Path) -> None:
    """Every part above the last must exist; the preflight judges the last."""
    for depth, key in enumerate(keys[:-1]):
        children = _children(node)
        what = f"--cfg-options {dotted}: {'.'.join(keys[: depth + 1])} is not in the config"
        check_choice(what, key, children, at=str(path))
        node = children[key]


def _at(node: Any, keys: list[str]) -> Any:
    for key in keys:
        node = _children(node)[key]
    return node


def _children(node: Any) -> dict[str, Any]:
    if isinstance(node, Mapping):
        return dict(node.items())
    if isinstance(node, (list, tuple)):
        return {str(index): item for index, item in enumerate(node)}
    return {}


def plain(node: Any) -> Any:
    """A config's part as ordinary dicts and lists, safe to keep and to hand on."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, tuple):
        return tuple(plain(item) for item in node)
    if isinstance(node, list):
        return [plain(item) for item in node]
    return node


def innermost_dataset(settings: Mapping[str, Any], at: str) -> tuple[Mapping[str, Any], str]:
    """What a data set around another one is made of in the end, where images are read.

    Args:
        settings: Of a data set; one that changes another's labels, say, has it as ``dataset``.
        at: Its config path.

    Returns:
        The innermost settings, and their path.

    Example:
        >>> outer = {"type": "Grouped", "dataset": {"type": "Images", "pipeline": []}}
        >>> innermost_dataset(outer, "test_dataloader.dataset")
        ({'type': 'Images', 'pipeline': []}, 'test_dataloader.dataset.dataset')
    """
    while isinstance(inner := settings.get("dataset"), Mapping):
        settings, at = inner, f"{at}.dataset"
    return settings, at


def walk_types(node: Any) -> Iterable[str]:
    """Every ``type`` string in a config, wherever it stands."""
    if isinstance(node, Mapping):
        kind = node.get("type")
        if isinstance(kind, str):
            yield kind
        for value in node.values():
            yield from walk_types(value)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from walk_types(item)
