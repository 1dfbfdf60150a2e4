"""Plugins of a test, found as if they were installed; stages that cost nothing."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import pytest

from wsoltool.engine.stages import Stage, StagePlan
from wsoltool.plugin import hookimpl, manager
from wsoltool.plugin.manager import Origin


@pytest.fixture
def offer(monkeypatch):
    """A function that makes a module known as a plugin, for one test."""
    origins = manager.discover()

    def install(name, module):
        monkeypatch.setitem(sys.modules, f"{name}_of_a_test", module)
        origins[name] = [Origin(name, f"{name}_of_a_test", f"{name} of a test")]
        monkeypatch.setattr(manager, "discover", lambda: origins)
        manager.catalogue.cache_clear()
        return module

    yield install
    manager.catalogue.cache_clear()


@pytest.fixture
def soups(offer, repository):
    """The manual's plugin."""
    path = repository / "tests" / "engine" / "example" / "soups.py"
    spec = spec_from_file_location("soups", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return offer("soups", module)


@pytest.fixture
def notes(offer):
    """Stages ``notes.Note`` that write a text; ``ran`` says which did, and whether they resumed.

    One whose name is in ``stopped`` writes half of it and is stopped.
    """
    module = ModuleType("notes_of_a_test")
    module.__file__ = __file__
    module.ran, module.stopped = [], set()

    class Note(Stage):
        artefacts = ("last.pth",)

        def __init__(self, name, text="", needs=()):
            super().__init__(name)
            self.text, self.needs = text, needs

        def settings(self, config):
            return {"text": self.text, "length": config.train_dataloader.dataset.length}

        def run(self, work):
            module.ran.append((self.name, work.resume))
            read = [(work.folders[name] / "last.pth").read_text() for name in self.needs]
            if self.name in module.stopped:
                (work.folder / "half.txt").write_text("h")
                raise KeyboardInterrupt
            (work.folder / "last.pth").write_text("".join([*read, self.text]))

    class Chain(StagePlan):
        def __init__(self, count=3, names=None):
            self.names = names or [f"n{index}" for index in range(count)]

        def stages(self, config):
            needs = [[], *([name] for name in self.names)]
            return [Note(name, name, needs[i]) for i, name in enumerate(self.names)]

    class Listed(StagePlan):
        """The stages that it is given; a list in a config has to end with one that trains."""

        def __init__(self, stages):
            self.listed = stages

        def stages(self, config):
            return self.listed

    class Lost(Note):
        """Leaves less than it says."""

        artefacts = ("last.pth", "tree.txt")

    @hookimpl
    def wsoltool_stages():
        return [Note, Lost]

    @hookimpl
    def wsoltool_stage_plans():
        return [Chain, Listed]

    module.wsoltool_stages, module.wsoltool_stage_plans = wsoltool_stages, wsoltool_stage_plans
    return offer("notes", module)
