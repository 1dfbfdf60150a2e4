"""The modules of a localizer, summed to few enough rows to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from wsoltool.models.backbones.parallel import Parallel
from wsoltool.models.complexity import Complexity, CostSum, ModuleCost, member_costs
from wsoltool.models.contracts import Backbone
from wsoltool.models.ensemble import Ensemble
from wsoltool.models.localizer import Localizer

_STAGE = re.compile(r"stem|(pool|stage)\d+")


@dataclass(frozen=True, slots=True)
class Row(CostSum):
    """The sum of some modules.

    Attributes:
        name: What they are together; indented by two spaces inside a part.
        contents: A class, or the first and the last step.
        shape: ``(C, h, w)`` of the features that leave them, where they end at an insert point.
        modules: What is summed.
    """

    name: str
    contents: str
    modules: tuple[ModuleCost, ...]
    shape: tuple[int, ...] = ()

    @property
    def costs(self) -> bool:
        """Whether any figure is not zero."""
        return bool(self.params or self.flops or self.activation_bytes)


def stage_rows(localizer: Localizer, complexity: Complexity) -> list[Row]:
    """The backbone and its stages, all inserts and each, the head, and what else costs anything.

    A stage ends at a canonical name that all backbones share (``stem``, ``pool1``, ``stage1`` ...)
    and is called so; steps behind the last of them end at ``last``. Of networks side by side each
    has rows of its own, and so has each member of an ensemble.
    """
    if isinstance(localizer, Ensemble):
        return [*_member_rows(localizer, complexity)]
    parts = dict.fromkeys(module.name.partition(".")[0] for module in complexity.modules)
    others = [_sum(complexity, part) for part in parts if part not in ("backbone", "inserts")]
    return [
        _sum(complexity, "backbone"),
        *_stage_rows(localizer.backbone, complexity),
        *_insert_rows(localizer, complexity),
        *[row for row in others if row.costs],
    ]


def depth_rows(complexity: Complexity, depth: int) -> list[Row]:
    """One row for each name of up to ``depth`` dotted parts that costs anything.

    Args:
        complexity: Of a localizer.
        depth: 1 for ``backbone``, ``inserts`` and ``head``; 2 for ``backbone.conv1`` and so on.
    """
    modules: dict[str, list[ModuleCost]] = {}
    for module in complexity.modules:
        name = ".".join(module.name.split(".")[:depth])
        modules.setdefault(name, []).append(module)
    rows = [
        Row(name, _type(name, inside), tuple(inside), _shape_at(complexity, name))
        for name, inside in modules.items()
    ]
    return [row for row in rows if row.costs]


def _member_rows(ensemble: Ensemble, complexity: Complexity) -> Iterator[Row]:
    own = member_costs(ensemble, complexity)
    for name, member in ensemble.localizers().items():
        yield replace(_sum(complexity, f"members.{name}"), contents=type(member).__name__)
        for row in stage_rows(member, own[name]):
            yield replace(row, name=f"  {row.name}")


def _stage_rows(backbone: Backbone, complexity: Complexity) -> Iterator[Row]:
    inside: dict[str, list[ModuleCost]] = {step: [] for step in ("", *backbone.step_names)}
    step_of = _steps_by_module(backbone, complexity)
    for module in _sum(complexity, "backbone").modules:
        inside[step_of.get(module.name, "")].append(module)
    for depth, name, net, before in _networks(backbone):
        if name:
            within = tuple(m for step in net.step_names for m in inside[f"{before}{step}"])
            yield Row(f"{'  ' * depth}{name}", type(net).__name__, within)
        for stage, steps in () if isinstance(net, Parallel) else _stages(net):
            contents = steps[0] if len(steps) == 1 else f"{steps[0]} .. {steps[-1]}"
            steps = tuple(f"{before}{step}" for step in steps)
            modules = tuple(module for step in steps for module in inside[step])
            shape = _shape_at(complexity, f"backbone.{steps[-1]}")
            yield Row(f"{'  ' * (depth + 1)}{stage}", contents, modules, shape)
    # What a backbone computes beside its steps, and inserts cannot be put behind.
    between = Row("  between steps", "", tuple(inside[""]))
    if between.costs:
        yield between


def _insert_rows(localizer: Localizer, complexity: Complexity) -> Iterator[Row]:
    if localizer.inserts is None:
        return
    yield _sum(complexity, "inserts")
    for key, point in localizer.inserts.points.items():
        row = _sum(complexity, f"inserts.{key}")
        yield Row(f"  {key}", row.contents, row.modules, complexity.points[point].shape)


def _networks(
    backbone: Backbone, depth: int = 0, name: str = "", before: str = ""
) -> Iterator[tuple[int, str, Backbone, str]]:
    """(how deep inside, own name, network, what stands before its steps' names), outer ones first.

    A backbone that is one network is alone, without a name.
    """
    yield depth, name, backbone, before
    if isinstance(backbone, Parallel):
        for own, net in backbone.named_networks().items():
            yield from _networks(net, depth + 1, own, f"{before}{own}.")


def _stages(backbone: Backbone) -> list[tuple[str, tuple[str, ...]]]:
    """(name, its steps), without ``input``."""
    ends: dict[str, str] = {}
    for name in (*backbone.canonical, *backbone.step_names):
        if _STAGE.fullmatch(name):
            ends.setdefault(backbone.canonical.get(name, name), name)
    found, steps = [], []
    for step in backbone.step_names[1:]:
        steps.append(step)
        if step in ends or step == backbone.step_names[-1]:
            found.append((ends.get(step, "last"), tuple(steps)))
            steps = []
    return found


def _steps_by_module(backbone: Backbone, complexity: Complexity) -> dict[str, str]:
    """Module name -> the step that it is or is part of."""
    # Longer names last: a step may be inside another one's name, as layer1.0 in layer1.
    steps = sorted(backbone.step_names, key=len)
    return {
        module.name: step
        for step in steps
        for module in complexity.modules
        if f"{module.name}.".startswith(f"backbone.{step}.")
    }


def _sum(complexity: Complexity, name: str) -> Row:
    """A module with all that is inside."""
    inside = [m for m in complexity.modules if f"{m.name}.".startswith(f"{name}.")]
    return Row(name, _type(name, inside), tuple(inside))


def _type(name: str, modules: Sequence[ModuleCost]) -> str:
    return next((module.type for module in modules if module.name == name), "")


def _shape_at(complexity: Complexity, name: str) -> tuple[int, ...]:
    point = complexity.points.get(name.removeprefix("backbone."))
    return point.shape if point else ()
