"""Which stages a config has, and the config that its last checkpoint belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from wsoltool.config import plain
from wsoltool.engine.stage_records import RECORD
from wsoltool.engine.stages import Stage, StagePlan
from wsoltool.errors import ConfigError, WsolError, check_choice
from wsoltool.plugin.manager import Catalogue, catalogue

STAGES = "stages"
LAST = "last.pth"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MANY = "a list of dict(type=..., name=...), or one plan dict(type=...)"


def is_staged(config: Config) -> bool:
    """Whether a config trains in stages; ``stages=None`` switches them off."""
    return config.get(STAGES) is not None


def stages_of(config: Config, components: Catalogue | None = None) -> list[Stage]:
    """The stages of a config in running order.

    Raises:
        WsolError: A stage cannot be made, two have one name, or one needs a later one.
    """
    stages = _stages(config, components or catalogue())
    _check_names(stages, is_list=isinstance(config[STAGES], (list, tuple)))
    return stages


def _stages(config: Config, components: Catalogue) -> list[Stage]:
    given = plain(config[STAGES])
    if isinstance(given, Mapping):
        stages = list(_plan(given, components).stages(config))
        if not all(isinstance(stage, Stage) for stage in stages):
            raise ConfigError("the plan makes something that is no stage", at=f"{STAGES}.type")
    elif isinstance(given, (list, tuple)):
        stages = [
            components.build(("stage",), entry, f"{STAGES}[{index}]")
            for index, entry in enumerate(given)
        ]
    else:
        raise ConfigError(f"stages is {given!r}", at=STAGES, expected=_MANY)
    if not stages:
        raise ConfigError("there are no stages", at=STAGES, expected=f"{_MANY}; None for none")
    return stages


def _plan(given: Mapping[str, Any], components: Catalogue) -> StagePlan:
    return components.build(("stage plan",), given, STAGES)


def _check_names(stages: Sequence[Stage], is_list: bool) -> None:
    earlier: list[str] = []
    for index, stage in enumerate(stages):
        place = f"{STAGES}[{index}]" if is_list else STAGES
        name = stage.name
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            expected = "letters, digits, - and _, for it names a folder"
            raise ConfigError(f"a stage is named {name!r}", at=f"{place}.name", expected=expected)
        if name.lower() in (other.lower() for other in earlier):
            raise ConfigError(f"two stages are named {name!r}", at=f"{place}.name")
        for needed in stage.needs:
            check_choice(
                f"stage {name!r} needs {needed!r}, which is no stage before it",
                needed,
                earlier,
                at=place,
            )
        earlier.append(name)
    if LAST not in stages[-1].artefacts:
        raise ConfigError(
            f"the last stage, {stages[-1].name!r}, leaves no {LAST}",
            at=STAGES,
            expected=f"one that trains, or another with {LAST} among its artefacts",
        )


def stage_problems(
    config: Config, components: Catalogue, told: Iterable[WsolError] = ()
) -> Iterator[WsolError]:
    """What the stages of a config say of it, each with its path, and once.

    Args:
        config: With ``stages``.
        components: The catalogue that ``type`` strings are looked up in.
        told: Problems of the config itself, which its stages share.
    """
    try:
        stages = stages_of(config, components)
    except WsolError as error:
        yield error.located(STAGES)
        return
    known = {str(problem) for problem in told}
    for index, stage in enumerate(stages):
        for problem in _problems_of(stage, config):
            # Stages share what is wrong at the top level, or with what a plan was given.
            shared = f"{_place(config, index, '', problem.at or '')}: {problem.what}"
            if not known & {shared, str(problem)}:
                known.add(shared)
                problem.at = _place(config, index, stage.name, problem.at or "")
                yield problem


def _problems_of(stage: Stage, config: Config) -> Iterator[WsolError]:
    try:
        stage.settings(config)
        yield from stage.problems(config)
    except WsolError as error:
        yield error


def _place(config: Config, index: int, name: str, at: str) -> str:
    """Where a stage's problem stands: in its own entry, or at the top level."""
    from wsoltool.preflight import TOP_LEVEL

    if re.split(r"[.\[]", at)[0] in TOP_LEVEL:
        return f"{at}, for stage {name!r}"
    if isinstance(config[STAGES], Mapping):
        return f"{STAGES}, stage {name!r}: {at}".removesuffix(": ")
    return f"{STAGES}[{index}].{at}".removesuffix(".")


def final_problems(config: Config, components: Catalogue) -> Iterator[WsolError]:
    """What is wrong with the config that a plan says is tested: not to be met after days."""
    from wsoltool.preflight import find_problems

    if not isinstance(config[STAGES], Mapping):
        return  # a stage was trained with it, and has been checked
    try:
        for problem in find_problems(final_config(config), "check", components):
            problem.at = f"{STAGES}, as tested: {problem.at}"
            yield problem
    except WsolError as error:
        yield error.located(f"{STAGES}, as tested")


def final_config(config: Config, checkpoint: str | Path | None = None) -> Config:
    """The config that the last stage's ``last.pth`` belongs to; without stages the config itself.

    A plan says which; of a list it is that of the last stage that trains.

    Args:
        config: As :func:`~wsoltool.config.load_config` returns it.
        checkpoint: Beside it lie the folders of the stages whose files the config names; where
            none is given, they lie in the config's work directory.
    """
    from wsoltool.engine.runner import planned_work_dir
    from wsoltool.engine.train_stage import Train, without_stages

    if not is_staged(config):
        return config
    given = plain(config[STAGES])
    if isinstance(given, Mapping):
        return without_stages(_plan(given, catalogue()).tested(config))
    trained = [stage for stage in stages_of(config) if isinstance(stage, Train)]
    if not trained:
        return without_stages(config)
    root = planned_work_dir(config) if checkpoint is None else Path(checkpoint).parent
    root = root.parent if (root / RECORD).is_file() else root
    folders = {name: (root / name).absolute() for name in trained[-1].needs}
    return trained[-1].training_config(config, folders)
