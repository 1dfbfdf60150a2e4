"""Which stages a config has, and the config that its last checkpoint belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config

from wsoltool.config import plain
from wsoltool.engine.stage_records import RECORD
from wsoltool.engine.stages import Stage, StagePlan
from wsoltool.engine.train_stage import Train, without_stages
from wsoltool.errors import ConfigError, ConfigProblems, PluginError, WsolError, check_choice
from wsoltool.plugin.manager import Catalogue, catalogue

STAGES = "stages"
LAST = "last.pth"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MANY = "a list of dict(type=..., name=...), or one plan dict(type=...)"


class StageFailure(PluginError):
    """A stage or plan that fails on a config, perhaps for the config's own shape."""


@contextmanager
def _failures_of(what: str, at: str | None = None) -> Iterator[None]:
    """Tell of what is no expected error as the plan's or stage's."""
    try:
        yield
    except WsolError:
        raise
    except Exception as error:
        raise StageFailure(
            f"{what} fails on the config: {type(error).__name__}: {error}",
            at=at,
            hint="a value that it reads may be missing, or of a wrong kind",
        ) from error


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
        plan = _plan(given, components)
        with _failures_of(f"plan {given['type']!r}", STAGES):
            stages = list(plan.stages(config))
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
    if "type" not in given:
        raise ConfigError(f"stages has the keys {', '.join(given)}", at=STAGES, expected=_MANY)
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
        _check_files(stage, stages[:index], f"{place}.config" if is_list else place)
        earlier.append(name)
    _check_last(stages[-1], is_list)


def _check_files(stage: Stage, earlier: Sequence[Stage], at: str) -> None:
    """Refuse what a stage's overrides name and no stage leaves."""
    left = {one.name: one.artefacts for one in earlier}
    for needed, file in stage.files if isinstance(stage, Train) else ():
        what = f"stage {stage.name!r} is to read {file!r}, which stage {needed!r} does not leave"
        check_choice(what, file, left[needed], at=at)


def _check_last(stage: Stage, is_list: bool) -> None:
    if LAST not in stage.artefacts:
        raise ConfigError(
            f"the last stage, {stage.name!r}, leaves no {LAST}",
            at=STAGES,
            expected=f"one that trains, or another with {LAST} among its artefacts",
        )
    if is_list and not isinstance(stage, Train):
        raise ConfigError(
            f"the last stage, {stage.name!r}, does not train: no config says of what model its "
            f"{LAST} is",
            at=STAGES,
            expected="a Train as the last of a list",
            hint="a plan, dict(type=...), says what is tested",
        )


def stage_problems(
    config: Config, components: Catalogue, told: Iterable[WsolError] = ()
) -> Iterator[WsolError]:
    """What the stages of a config say of it, each with its path, and once.

    Args:
        config: With ``stages``.
        components: The catalogue that ``type`` strings are looked up in.
        told: Problems of the config itself, which its stages share. Where there are some, stages
            that fail on its shape are passed over.
    """
    told = list(told)
    try:
        stages = stages_of(config, components)
    except WsolError as error:
        if not (told and isinstance(error, StageFailure)):
            yield error.located(STAGES)
        return
    known = {str(problem) for problem in told}
    for index, stage in enumerate(stages):
        for problem in _problems_of(stage, config):
            if told and isinstance(problem, StageFailure):
                continue
            # Stages share what is wrong at the top level, or with what a plan was given.
            shared = f"{_place(config, index, '', problem.at or '')}: {problem.what}"
            if not known & {shared, str(problem)}:
                known.add(shared)
                problem.at = _place(config, index, stage.name, problem.at or "")
                yield problem


def _problems_of(stage: Stage, config: Config) -> Iterator[WsolError]:
    try:
        with _failures_of(f"stage {stage.name!r}"):
            stage.settings(config)
            found = list(stage.problems(config))
    except WsolError as error:
        found = [error]
    yield from found


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
    from wsoltool.models.builder import build_localizer, without_pretrained
    from wsoltool.preflight import check

    if not isinstance(config[STAGES], Mapping):
        return  # the last stage trains with it, and has checked it
    try:
        tested = _tested(config, components)
        check(tested, "check", components)
        build_localizer(without_pretrained(plain(tested.model)))
    except ConfigProblems as found:
        problems: Sequence[WsolError] = found.problems
    except WsolError as error:
        problems = [error]
    else:
        return
    for problem in problems:
        problem.at = f"{STAGES}, as tested" + (f": {problem.at}" if problem.at else "")
        yield problem


def _tested(config: Config, components: Catalogue) -> Config:
    """What a plan says is tested."""
    given = plain(config[STAGES])
    plan = _plan(given, components)
    with _failures_of(f"plan {given['type']!r}"):
        return without_stages(plan.tested(config))


def final_config(config: Config, checkpoint: str | Path | None = None) -> Config:
    """The config that the last stage's ``last.pth`` belongs to; without stages the config itself.

    A plan says which; of a list it is that of the last stage, which trains.

    Args:
        config: As :func:`~wsoltool.config.load_config` returns it.
        checkpoint: Beside it lie the folders of the stages whose files the config names; where
            none is given, they lie in the config's work directory.

    Raises:
        ConfigProblems: The config has not the shape that stages rely on.
        WsolError: Its stages cannot be made.
    """
    from wsoltool.engine.runner import planned_work_dir
    from wsoltool.preflight import find_problems

    if not is_staged(config):
        return config
    if problems := list(find_problems(config, "check", catalogue())):
        raise ConfigProblems(problems, at=config.filename)
    if isinstance(config[STAGES], Mapping):
        return _tested(config, catalogue())
    last = stages_of(config)[-1]
    assert isinstance(last, Train), "no other stage is the last of a list"
    root = planned_work_dir(config) if checkpoint is None else Path(checkpoint).parent
    root = root.parent if (root / RECORD).is_file() else root
    folders = {name: (root / name).absolute() for name in last.needs}
    with _failures_of(f"stage {last.name!r}"):
        return last.training_config(config, folders)
