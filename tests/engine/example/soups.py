"""Model soups: trainings that begin alike and draw other numbers, and the mean of their weights."""

import torch

from wsoltool.engine.checkpoints import read_checkpoint
from wsoltool.engine.stages import Stage, StagePlan
from wsoltool.engine.train_stage import Train
from wsoltool.plugin import hookimpl


class Mean(Stage):
    """Averages what earlier stages have trained."""

    artefacts = ("last.pth",)

    def __init__(self, name, of):
        super().__init__(name)
        self.needs = tuple(of)

    def settings(self, config):
        return {}  # it follows from what it needs, and from nothing else

    def run(self, work):
        contents = [read_checkpoint(work.folders[name] / "last.pth") for name in self.needs]
        weights = {}
        for key, tensor in contents[0]["state_dict"].items():
            stacked = torch.stack([content["state_dict"][key] for content in contents])
            weights[key] = stacked.double().mean(0).to(tensor.dtype)
        torch.save({"meta": contents[0]["meta"], "state_dict": weights}, work.folder / "last.pth")


class Soup(StagePlan):
    """Trains once, goes on from there with several seeds, and averages."""

    def __init__(self, seeds=(1, 2, 3)):
        self.seeds = seeds

    def stages(self, config):
        begin = {"load_from": "stage:start/last.pth"}
        parts = [Train(f"seed_{s}", {**begin, "randomness.seed": s}) for s in self.seeds]
        return [Train("start"), *parts, Mean("soup", of=[part.name for part in parts])]


@hookimpl
def wsoltool_stages():
    return [Mean]


@hookimpl
def wsoltool_stage_plans():
    return [Soup]
