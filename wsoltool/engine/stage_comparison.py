"""What earlier runs of stages left, set against what the config says now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from wsoltool.engine.stage_list import LAST
from wsoltool.engine.stage_records import (
    RECORD,
    StageRecord,
    differences,
    is_unchanged,
    plain_settings,
    read_record,
)
from wsoltool.engine.stages import Stage
from wsoltool.errors import CheckpointError, ConfigError, ConfigProblems, WorkDirError, WsolError
from wsoltool.plugin.manager import catalogue

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a work directory is.

    Attributes:
        settings: Of each stage, as its record has or will have them.
        records: Of the stages that were begun and are kept.
    """

    settings: Mapping[str, dict[str, Any]]
    records: Mapping[str, StageRecord]

    def is_finished(self, name: str) -> bool:
        record = self.records.get(name)
        return record is not None and record.finished


def stage_settings(stages: Sequence[Stage], config: Config, amp: bool) -> dict[str, dict[str, Any]]:
    """Stage -> whatever its artefacts follow from: class, own settings, precision."""
    found = {}
    for stage in stages:
        kind = catalogue().name_of("stage", type(stage))
        settings = {"stage": kind, **stage.settings(config)}
        if stage.uses_amp:
            settings["amp"] = amp
        found[stage.name] = plain_settings(settings, f"settings of stage {stage.name!r}")
    return found


def compare(
    folder: Path, stages: Sequence[Stage], config: Config, amp: bool, redo: Sequence[str] = ()
) -> Progress:
    """Read what is there, and refuse what does not belong together.

    Args:
        folder: The work directory.
        stages: In running order.
        config: The whole config.
        amp: Mixed precision was asked for.
        redo: Stages whose leavings will be discarded.

    Raises:
        WorkDirError: Files of something else lie in a folder.
        WsolError: A stage was run with other settings, on artefacts that are others by now, or
            something it left is missing or changed; all of them together.
    """
    _refuse_ordinary_run(folder, stages)
    settings = stage_settings(stages, config, amp)
    records: dict[str, StageRecord] = {}
    problems: dict[str, list[WsolError]] = {}
    for stage in stages:
        own = folder / stage.name
        if stage.name in redo:
            continue
        try:
            record = read_record(own)
        except CheckpointError as error:
            problems[stage.name] = [error]
            continue
        if record is not None:
            records[stage.name] = record
            found = list(_problems(stage, record, settings[stage.name], records, own))
            problems |= {stage.name: found} if found else {}
    if problems:
        raise _together(problems, stages, folder)
    return Progress(settings, records)


def dependents(stages: Sequence[Stage], names: Sequence[str]) -> list[str]:
    """Some stages and all later ones that need them, directly or not, in running order."""
    found: list[str] = []
    for stage in stages:
        if stage.name in names or any(needed in found for needed in stage.needs):
            found.append(stage.name)
    return found


def _refuse_ordinary_run(folder: Path, stages: Sequence[Stage]) -> None:
    begun = any((folder / stage.name / RECORD).is_file() for stage in stages)
    left = sorted([*folder.glob("*.pth"), *folder.glob("last_checkpoint")])
    strange = [path.name for path in left if not (begun and path.name == LAST)]
    if strange:
        raise WorkDirError(
            f"the work directory holds another run's {strange[0]}",
            at=str(folder),
            expected="an empty folder, or that of a run of these stages",
            hint="name another --work-dir",
        )


def _problems(
    stage: Stage,
    record: StageRecord,
    settings: Mapping[str, Any],
    records: Mapping[str, StageRecord],
    folder: Path,
) -> Iterator[WsolError]:
    at = str(folder / RECORD)
    if record.name != stage.name:
        yield ConfigError(f"the folder is that of a stage {record.name!r}", at=at)
    changed = list(differences(record.settings, settings))
    if changed:
        more = [f"and {len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
        shown = "; ".join(changed[:_SHOWN] + more)
        yield ConfigError(f"stage {stage.name!r} was run with other settings: {shown}", at=at)
    yield from _needed_problems(stage, record, records, at)
    if record.finished:
        yield from _artefact_problems(stage, record, folder)


def _needed_problems(
    stage: Stage, record: StageRecord, records: Mapping[str, StageRecord], at: str
) -> Iterator[WsolError]:
    told = sorted(record.needs) != sorted(stage.needs)
    if told:
        old, new = sorted(record.needs), sorted(stage.needs)
        yield ConfigError(f"stage {stage.name!r} needed other stages: {old} -> {new}", at=at)
    for needed in stage.needs if not told else ():
        now = records.get(needed)
        if now is None or not now.finished:
            what = f"stage {stage.name!r} was run after {needed!r}, which is not finished now"
            yield CheckpointError(what, at=at)
        elif now.identity != record.needs[needed]:
            what = f"stage {needed!r} was redone after {stage.name!r} was run on what it had left"
            yield CheckpointError(what, at=at)


def _artefact_problems(stage: Stage, record: StageRecord, folder: Path) -> Iterator[WsolError]:
    for name in dict.fromkeys([*stage.artefacts, *record.artefacts]):
        path = folder / name
        if not path.is_file():
            yield CheckpointError(f"stage {stage.name!r} has left no {name}", at=str(path))
        elif name not in record.artefacts:
            what = f"{name} is not among what stage {stage.name!r} left when it finished"
            yield CheckpointError(what, at=str(path))
        elif not is_unchanged(path, record.artefacts[name]):
            what = f"{name} has been changed since stage {stage.name!r} left it"
            yield CheckpointError(what, at=str(path))


def _together(
    problems: Mapping[str, Sequence[WsolError]], stages: Sequence[Stage], folder: Path
) -> WsolError:
    """All problems, each with the one remedy that mends them all."""
    redone = dependents(stages, list(problems))
    named = " ".join(problems)
    begins = ", ".join(name for name in redone if (folder / name).exists())
    hint = f"--redo {named} begins anew: {begins}; another --work-dir keeps what is there"
    found = [problem for some in problems.values() for problem in some]
    for problem in found:
        problem.hint = hint
    return found[0] if len(found) == 1 else ConfigProblems(found, at=str(folder))
