"""Runs the stages of a config, and goes on where an earlier run was stopped."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from rich.console import Console
from rich.text import Text

from wsoltool.engine.distributed import join_group, on_main_process
from wsoltool.engine.runner import seed_everything, work_dir_of
from wsoltool.engine.stage_comparison import Progress, compare, dependents
from wsoltool.engine.stage_list import LAST, stages_of
from wsoltool.engine.stage_records import (
    FINISHED,
    RECORD,
    StageRecord,
    artefact_of,
    read_record,
    write_record,
)
from wsoltool.engine.stages import Stage, StageWork
from wsoltool.errors import CheckpointError, check_choice
from wsoltool.paths import whole_file

_DISCARDED = ".{}.discarded"


class StagesStopped(KeyboardInterrupt):
    """A training in stages was interrupted when all that was to be redone was discarded."""


def train_stages(
    config: Config,
    work_dir: str | Path | None = None,
    resume: bool = False,
    amp: bool = False,
    launcher: str = "none",
    redo: Sequence[str] = (),
) -> Path:
    """Run what is not finished yet; answers the path of the last stage's ``last.pth``.

    Args:
        config: With ``stages``; must have passed the preflight.
        work_dir: The stages' folders are made here; ``work_dirs/<config name>`` by default.
        resume: There must be something to go on with; it is gone on with in any case.
        amp: Mixed precision.
        launcher: ``none``, or ``pytorch`` under torchrun.
        redo: Stages to begin anew, with all later ones that need them.

    Raises:
        WsolError: Before any stage runs, where what is there does not belong to this config.
        StagesStopped: Interrupted by the keyboard while the stages ran.
    """
    stages = stages_of(config)
    for name in redo:
        names = [stage.name for stage in stages]
        check_choice(f"there is no stage {name!r} to redo", name, names, at="--redo")
    folder = work_dir_of(config, work_dir)
    join_group(launcher)
    again = dependents(stages, redo)
    progress = on_main_process(lambda: compare(folder, stages, config, amp, again))
    if resume and not progress.records:
        raise _nothing_to_resume(folder)
    on_main_process(lambda: _prepare(folder, config, stages, progress, again))
    try:
        _run_all(stages, StageWork(config, folder, amp=amp, launcher=launcher), progress)
        on_main_process(lambda: _publish(folder / stages[-1].name / LAST, folder / LAST))
    except KeyboardInterrupt as stop:
        raise StagesStopped from stop
    return folder / LAST


def _run_all(stages: Sequence[Stage], whole: StageWork, progress: Progress) -> None:
    """Run what is not finished; ``whole`` has the work directory as its folder."""
    for index, stage in enumerate(stages):
        # Absolute: data sets take relative paths from the folder of data.
        folders = {one.name: (whole.folder / one.name).absolute() for one in stages[:index]}
        begun = stage.name in progress.records
        work = replace(whole, folder=whole.folder / stage.name, folders=folders, resume=begun)
        finished = progress.is_finished(stage.name)
        _tell(f"stage {index + 1} of {len(stages)}: {stage.name} ({_state(begun, finished)})")
        if not finished:
            _run(stage, work, progress)


def _nothing_to_resume(folder: Path) -> CheckpointError:
    return CheckpointError(
        "nothing to resume",
        at=str(folder),
        expected="stages of an earlier run in the work directory",
        hint="leave out --resume: a run with stages goes on by itself",
    )


def _state(begun: bool, finished: bool) -> str:
    if finished:
        return "finished before"
    return "goes on" if begun else "begins"


def _tell(line: str) -> None:
    if is_main_process():
        Console(highlight=False, soft_wrap=True).print(Text(line))


def _prepare(
    folder: Path, config: Config, stages: Sequence[Stage], progress: Progress, redo: Sequence[str]
) -> None:
    """Discard what is redone, and what is published of it; write the config down."""
    begun = [name for name in redo if _is_begun(folder / name)]
    if not all(progress.is_finished(stage.name) for stage in stages):
        # Before any record goes: without them it would be taken for another run's.
        (folder / LAST).unlink(missing_ok=True)
    _discard(folder, begun, [stage.name for stage in stages])
    config.dump(folder / Path(config.filename).name)


def _is_begun(path: Path) -> bool:
    if (path / RECORD).is_file():
        return True
    read_record(path)  # refuses files of something else
    return False


def _discard(folder: Path, names: Sequence[str], stages: Sequence[str]) -> None:
    """Remove folders of stages, and what a redo that was killed has left of any stage's."""
    gone = [folder / _DISCARDED.format(name) for name in stages]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    # Renamed first, the last one first: no interruption leaves a folder without its record, or a
    # stage without one that it needs.
    for name in reversed(names):
        (folder / name).replace(folder / _DISCARDED.format(name))
    for path in gone:
        if path.exists():
            shutil.rmtree(path)


def _run(stage: Stage, work: StageWork, progress: Progress) -> None:
    begun = on_main_process(lambda: _begin(stage, work, progress))
    seed_everything(work.config)
    if stage.every_process:
        stage.run(work)
    else:
        on_main_process(lambda: stage.run(work))
    on_main_process(lambda: _finish(stage, work.folder, begun))


def _begin(stage: Stage, work: StageWork, progress: Progress) -> StageRecord:
    needs = {}
    for name in stage.needs:
        needed = read_record(work.folders[name])
        assert needed is not None, "the stages before are finished"
        needs[name] = needed.identity
    record = StageRecord(stage.name, progress.settings[stage.name], needs)
    work.folder.mkdir(parents=True, exist_ok=True)
    write_record(work.folder, record)
    return record


def _finish(stage: Stage, folder: Path, begun: StageRecord) -> None:
    missing = [name for name in stage.artefacts if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"stage {stage.name!r} has ended without leaving {', '.join(missing)}",
            at=str(folder),
            expected=f"all of {type(stage).__name__}.artefacts",
        )
    artefacts = {name: artefact_of(folder / name) for name in stage.artefacts}
    write_record(folder, replace(begun, artefacts=artefacts, state=FINISHED))


def _publish(source: Path, target: Path) -> None:
    with source.open("rb") as left, whole_file(target) as file:
        shutil.copyfileobj(left, file)
