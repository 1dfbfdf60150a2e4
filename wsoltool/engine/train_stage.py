"""The stage that trains: the config's network, with parts of the config overridden."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process

from wsoltool.config import plain, with_overrides
from wsoltool.engine.checkpoints import latest_checkpoint
from wsoltool.engine.stages import Stage, StageWork
from wsoltool.errors import CheckpointError, ConfigError, ConfigProblems, WsolError

#: In a stage's folder: the config that it trains, whatever the whole config is called.
CONFIG = "config.py"
#: Before ``NAME/FILE`` in overrides: a file of the stage NAME.
REFERENCE = "stage:"
_REFERENCE = re.compile(REFERENCE + r"([\w-]+)/(.+)")
#: Keys whose values no weights follow from.
_UNTRAINED = ("test_dataloader", "work_dir", "log_interval", "checkpoint", "stages")
#: The same, unless training looks at a figure of the validation.
_VALIDATION = ("val_dataloader", "evaluation", "metrics")
_SHOWING = ("map_source", "fusion", "boxes")


class Train(Stage):
    """Trains the config's model, and leaves ``last.pth``; beside it ``config.py`` says of what.

    Args:
        name: Of the stage.
        config: Overrides of the config, as a config that inherits from it would say them: dicts are
            merged (``_delete_=True`` replaces), keys may be dotted. A string ``stage:NAME/FILE`` is
            the path of a file that the earlier stage NAME leaves.
        needs: Further stages that must be finished, and anew where they are redone.

    Raises:
        ConfigError: ``config`` is no dict, or overrides what a stage cannot choose.

    Example:
        >>> first = dict(type="Train", name="first")
        >>> longer = {"load_from": "stage:first/last.pth", "train_cfg.max_epochs": 40}
        >>> stages = [first, dict(type="Train", name="second", config=longer)]
    """

    artefacts = ("last.pth",)
    every_process = True
    uses_amp = True

    def __init__(
        self, name: str, config: Mapping[str, Any] | None = None, needs: Sequence[str] = ()
    ) -> None:
        super().__init__(name)
        if not isinstance(config, Mapping | None):
            raise ConfigError(f"config is {config!r}", expected="a dict of overrides")
        if isinstance(needs, str) or not all(isinstance(needed, str) for needed in needs):
            raise ConfigError(f"needs is {needs!r}", expected="a list of stages' names")
        self.overrides: dict[str, Any] = plain(config or {})
        for key in ("stages", "work_dir"):
            if key in self.overrides:
                raise ConfigError(f"a stage cannot choose {key}", expected="it at the top level")
        #: Stage and file that the overrides name.
        self.files = tuple(dict.fromkeys(_referred(self.overrides)))
        self.needs = tuple(dict.fromkeys([*needs, *(stage for stage, _ in self.files)]))

    def training_config(self, config: Config, folders: Mapping[str, Path]) -> Config:
        """What is trained: the config without ``stages``, with the overrides.

        Called before any stage runs too, to compare and to check settings, with folders that do
        not exist: it may put the paths of files into the config, and not read them.

        Args:
            config: The whole config; not to be changed.
            folders: Of the stages in ``needs``, by name.
        """
        try:
            return with_overrides(without_stages(config), _resolved(self.overrides, folders))
        except ConfigError as error:
            raise error.located("config") from None

    def settings(self, config: Config) -> dict[str, Any]:
        return weight_settings(self.training_config(config, self._symbols()))

    def _symbols(self) -> dict[str, Path]:
        """Folders whose paths say the same wherever the work directory lies."""
        return {name: Path(f"{REFERENCE}{name}") for name in self.needs}

    def run(self, work: StageWork) -> None:
        from wsoltool.engine.training import train

        folders = {name: work.folders[name] for name in self.needs}
        config = self.training_config(work.config, folders)
        resume = work.resume and self._has_saved(work.folder)
        if is_main_process():
            config.dump(work.folder / CONFIG)
        deterministic = torch.are_deterministic_algorithms_enabled()
        cudnn = torch.backends.cudnn.deterministic
        try:
            train(config, work.folder, resume=resume, amp=work.amp, launcher=work.launcher)
        finally:
            # The next stage's randomness.deterministic is its own.
            torch.use_deterministic_algorithms(deterministic)
            torch.backends.cudnn.deterministic = cudnn
            _free_memory()

    def _has_saved(self, folder: Path) -> bool:
        try:
            return latest_checkpoint(folder) is not None
        except CheckpointError as error:
            error.hint = f"--redo {self.name} begins it anew"
            raise

    def problems(self, config: Config) -> Iterable[WsolError]:
        from wsoltool.preflight import check

        trained = self.training_config(config, self._symbols())
        try:
            check(trained, "train")
            _check_model(trained)
        except ConfigProblems as found:
            problems: Sequence[WsolError] = found.problems
        except WsolError as error:
            problems = [error]
        else:
            return
        for problem in problems:
            if _overrides(self.overrides, problem.at or ""):
                problem.at = f"config.{problem.at}"
            yield problem


def without_stages(config: Config) -> Config:
    """A copy of a config that trains in one stage."""
    copy = with_overrides(config, {})
    copy.pop("stages", None)
    return copy


def weight_settings(config: Config) -> dict[str, Any]:
    """The parts of a config that the weights of its training follow from, as plain data."""
    tree: dict[str, Any] = {key: plain(config[key]) for key in config}
    watched = _watches_validation(tree)
    for key in (*_UNTRAINED, *(() if watched else _VALIDATION)):
        tree.pop(key, None)
    if not watched and isinstance(tree.get("train_cfg"), dict):
        tree["train_cfg"].pop("val_interval", None)
    if not watched and isinstance(tree.get("model"), dict):
        tree["model"] = {k: v for k, v in tree["model"].items() if k not in _SHOWING}
    for loader in ("train_dataloader", "val_dataloader"):
        if isinstance(tree.get(loader), dict):
            tree[loader].pop("num_workers", None)
    return tree


def _watches_validation(tree: Mapping[str, Any]) -> bool:
    from wsoltool.preflight_schedules import TRAINING, monitors

    watched = [name for _, name in monitors(tree.get("param_scheduler"))]
    hooks = tree.get("custom_hooks") or ()
    watched += [hook.get("monitor", TRAINING) for hook in hooks if isinstance(hook, Mapping)]
    return not all(str(name).startswith(TRAINING) for name in watched)


def _check_model(config: Config) -> None:
    """What building the model and grouping its parameters shows to be wrong."""
    from wsoltool.engine.dataloaders import check_batch_size
    from wsoltool.engine.optimization import optimizer_lines
    from wsoltool.models.builder import build_localizer, without_pretrained

    model = without_pretrained(plain(config.model))
    if any(_referred(model)):
        return  # a part of it is made of a file that is not there yet
    localizer = build_localizer(model)
    optimizer_lines(localizer, plain(config.optim_wrapper))
    check_batch_size(localizer, plain(config.train_dataloader))


def _referred(node: Any) -> Iterator[tuple[str, str]]:
    """Stage and file, wherever a part of a config names a file of a stage."""
    if isinstance(node, Mapping):
        for value in node.values():
            yield from _referred(value)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _referred(item)
    elif isinstance(node, str) and node.startswith(REFERENCE):
        yield _parts(node)


def _parts(reference: str) -> tuple[str, str]:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ConfigError(f"{reference!r} names no file", expected=f"{REFERENCE}NAME/FILE")
    return match[1], match[2]


def _resolved(node: Any, folders: Mapping[str, Path]) -> Any:
    if isinstance(node, Mapping):
        return {key: _resolved(value, folders) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_resolved(item, folders) for item in node)
    if isinstance(node, str) and node.startswith(REFERENCE):
        name, file = _parts(node)
        return str(folders[name] / file)
    return node


def _overrides(overrides: Mapping[str, Any], path: str) -> bool:
    """Whether a dotted path leads to something that overrides say."""
    nested: Any = with_overrides(Config(), overrides).to_dict()
    for key in re.findall(r"[^.\[\]]+", path):
        if not isinstance(nested, Mapping):
            return True
        if key not in nested:
            return False
        nested = nested[key]
    return bool(path)


def _free_memory() -> None:
    # Runner and hooks refer to each other; the next stage needs the room.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
