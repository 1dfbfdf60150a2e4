"""Training in stages: what a stage is, and who says which there are.

A config without ``stages`` trains one network. One with ``stages`` lists what is done in turn: a
network is trained, something is derived from it (clusters of classes, boxes), another is trained
on that. Each stage has a folder of its own below the work directory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from wsoltool.errors import WsolError


@dataclass(frozen=True, slots=True)
class StageWork:
    """What a stage is run with.

    Attributes:
        config: The whole config, as people wrote it.
        folder: Of this stage; whatever it leaves lies here.
        folders: Of the stages before it, all of them finished, by name; absolute paths.
        resume: An earlier run of this stage was stopped, and ``folder`` may hold what it left.
        amp: Mixed precision was asked for.
        launcher: ``none`` or ``pytorch``.
    """

    config: Config
    folder: Path
    folders: Mapping[str, Path] = field(default_factory=dict)
    resume: bool = False
    amp: bool = False
    launcher: str = "none"


class Stage(ABC):
    """One step of a training in stages.

    Args:
        name: Names its folder, and is how later stages refer to it.

    Attributes:
        needs: Names of earlier stages whose artefacts it reads.
        artefacts: Files that it leaves in its folder, for later stages or for people.
        every_process: Whether it runs in every process of a distributed training; otherwise the
            main process runs it while the others wait.
        uses_amp: Whether ``--amp`` changes what it leaves, and so counts among its settings.
    """

    needs: Sequence[str] = ()
    artefacts: Sequence[str] = ()
    every_process: bool = False
    uses_amp: bool = False

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def settings(self, config: Config) -> dict[str, Any]:
        """Whatever its artefacts follow from, as plain data, besides the artefacts it needs.

        A finished stage is skipped as long as this stays equal; when it differs, the run is
        refused with the keys that changed.
        """

    @abstractmethod
    def run(self, work: StageWork) -> None:
        """Make the artefacts.

        May be stopped at any moment and called again with ``resume``. All generators of random
        numbers have been seeded by ``randomness.seed``.
        """

    def problems(self, config: Config) -> Iterable[WsolError]:
        """What is known to go wrong before any stage runs; nothing by default.

        ``at`` of an error is a path in the config, or begins with one of the stage's arguments.
        """
        return ()


class StagePlan(ABC):
    """Makes the stages of a method out of a few options."""

    @abstractmethod
    def stages(self, config: Config) -> Sequence[Stage]:
        """In running order; names are unique, and the last stage leaves ``last.pth``."""

    def tested(self, config: Config) -> Config:
        """The config that ``last.pth`` of the last stage belongs to.

        ``wsoltool test`` and ``localize`` build their model from it. The config itself by default;
        it must not be changed in place.
        """
        return config
