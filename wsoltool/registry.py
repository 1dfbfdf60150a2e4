"""Names of components: the kinds there are, and one registry of classes for each kind.

Nothing here imports torch: base classes are written as ``module:name`` and imported when the first
component of a kind is registered.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from wsoltool.errors import ConfigError, PluginError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind:
    """One extension point.

    Attributes:
        name: What error messages call it.
        hook: The hook through which plugins offer classes.
        base: ``module:class`` that every component subclasses.
        foreign: Scope -> ``module:registry`` of a library whose own components may be named too,
            as ``type='<scope>.<Class>'``.
        injected: Constructor arguments that the builder supplies.
    """

    name: str
    hook: str
    base: str
    foreign: Mapping[str, str] = field(default_factory=dict)
    injected: tuple[str, ...] = ()

    def base_class(self) -> type:
        return locate(self.base)


def locate(target: str) -> Any:
    """Import ``module:attribute``."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


_CONTRACTS = "wsoltool.models.contracts:"
_MMCV = {"mmcv": "mmcv.transforms:TRANSFORMS"}
_MMENGINE_HOOKS = {"mmengine": "mmengine.registry:HOOKS"}
_MMENGINE_METRICS = {"mmengine": "mmengine.registry:METRICS"}
_AT_POINT = ("channels", "stride")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("backbone", "wsoltool_backbones", _CONTRACTS + "Backbone"),
        Kind(
            "recalibration",
            "wsoltool_recalibrations",
            _CONTRACTS + "Recalibration",
            injected=_AT_POINT,
        ),
        Kind("eraser", "wsoltool_erasers", _CONTRACTS + "Eraser", injected=_AT_POINT),
        Kind(
            "batch augmentation", "wsoltool_batch_augmentations", _CONTRACTS + "BatchAugmentation"
        ),
        Kind("pooling", "wsoltool_poolings", _CONTRACTS + "Pooling"),
        Kind("CAM head", "wsoltool_cam_heads", _CONTRACTS + "CAMHead", injected=("channels",)),
        Kind("map source", "wsoltool_map_sources", _CONTRACTS + "MapSource"),
        Kind("fusion", "wsoltool_fusions", _CONTRACTS + "Fusion"),
        Kind("box extractor", "wsoltool_box_extractors", _CONTRACTS + "BoxExtractor"),
        Kind("loss", "wsoltool_losses", _CONTRACTS + "Loss"),
        Kind(
            "data set",
            "wsoltool_datasets",
            "wsoltool.datasets.base:LocalizationDataset",
            injected=("data_root",),
        ),
        Kind("data set reader", "wsoltool_readers", "wsoltool.datasets.readers.base:RecordReader"),
        Kind("transform", "wsoltool_transforms", "mmcv.transforms:BaseTransform", foreign=_MMCV),
        Kind(
            "metric", "wsoltool_metrics", "mmengine.evaluator:BaseMetric", foreign=_MMENGINE_METRICS
        ),
        Kind(
            "runner hook", "wsoltool_runner_hooks", "mmengine.hooks:Hook", foreign=_MMENGINE_HOOKS
        ),
        Kind("stage", "wsoltool_stages", "wsoltool.engine.stages:Stage"),
        Kind("stage plan", "wsoltool_stage_plans", "wsoltool.engine.stages:StagePlan"),
    )
}

#: Config key -> the kinds of component that may stand there, alone, in a list or by name.
SLOTS: dict[str, tuple[str, ...]] = {
    "backbone": ("backbone",),
    "networks": ("backbone",),
    "module": ("recalibration", "eraser"),
    "batch_augmentations": ("batch augmentation",),
    "head": ("CAM head",),
    "map_source": ("map source",),
    "source": ("map source",),
    "fusion": ("fusion",),
    "boxes": ("box extractor",),
    "loss": ("loss",),
    "pooling": ("pooling",),
    "dataset": ("data set",),
    "reader": ("data set reader",),
    "pipeline": ("transform",),
    "metrics": ("metric",),
    "custom_hooks": ("runner hook",),
    "stages": ("stage", "stage plan"),
}


def handed_on(kinds: Sequence[str], key: str, supplied: Mapping[str, T]) -> Mapping[str, T]:
    """What the builder injects into a component that stands within another one, under ``key``.

    The same as into the other one where the slot is for the same kinds, as a data set's in a data
    set; nothing where it is not.

    Args:
        kinds: That the outer component was chosen from.
        key: The slot's.
        supplied: Injected into the outer component, by argument.

    Example:
        >>> handed_on(("data set",), "dataset", {"data_root": "here"})
        {'data_root': 'here'}
        >>> handed_on(("CAM head",), "module", {"channels": {"last": 8}})
        {}
    """
    return supplied if set(SLOTS.get(key, ())) == set(kinds) else {}


class Registry:
    """The classes of one kind, by their name in configs (``scope.Class``, the core's ``Class``)."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._classes: dict[str, type] = {}

    def validate(self, scope: str, classes: object, origin: str) -> dict[str, type]:
        """Classes by config name, or the reason why they cannot be registered.

        Raises:
            PluginError: Not a list of concrete subclasses of the kind's base class.
        """
        if not isinstance(classes, (list, tuple)):
            raise PluginError(
                f"{self.kind.hook} of {origin} answered {type(classes).__name__}",
                expected="a list of classes",
            )
        base = self.kind.base_class()
        found: dict[str, type] = {}
        for cls in classes:
            if not (inspect.isclass(cls) and issubclass(cls, base)):
                shown = getattr(cls, "__name__", repr(cls))
                raise PluginError(
                    f"{shown} of {origin} is no {self.kind.name}",
                    expected=f"a subclass of {base.__module__}.{base.__name__}",
                    hint=f"{self.kind.hook} offers the wrong class",
                )
            missing = sorted(getattr(cls, "__abstractmethods__", ()))
            missing = missing or _unimplemented(cls)
            if missing:
                raise PluginError(
                    f"{cls.__name__} of {origin} does not implement {', '.join(missing)}",
                    expected=f"every abstract method of {base.__name__}",
                )
            name = f"{scope}.{cls.__name__}" if scope else cls.__name__
            if name in found:
                raise PluginError(f"{origin} offers two {self.kind.name}s named {name!r}")
            found[name] = cls
        return found

    def commit(self, classes: Mapping[str, type]) -> None:
        self._classes.update(classes)

    def get(self, name: str) -> type | None:
        return self._classes.get(name)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._classes))


def _unimplemented(cls: type) -> list[str]:
    # nn.Module is not an ABC, so its abstract methods are found by their marker.
    marked = (
        name
        for name in dir(cls)
        if getattr(inspect.getattr_static(cls, name), "__isabstractmethod__", False)
    )
    return sorted(marked)


def constructor_arguments(cls: type) -> dict[str, inspect.Parameter]:
    """The keyword arguments that a class takes, without ``self``."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if owner.__module__ == "torch.nn.modules.module":
        return {}  # a module's own constructor says that it takes all, and refuses all
    parameters = dict(inspect.signature(cls).parameters)
    return {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_POSITIONAL
    }


def argument_problems(
    cls: type, given: Iterable[str], at: str, supplied: Iterable[str] = ()
) -> list[ConfigError]:
    """What a constructor would refuse: unknown keywords and missing ones.

    Args:
        cls: The component.
        given: Keywords from the config.
        at: Config path, for the messages.
        supplied: Keywords that the builder can inject.
    """
    parameters = constructor_arguments(cls)
    given = tuple(given)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    named = [n for n, p in parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    problems = [
        ConfigError(
            f"{cls.__name__} takes no argument {name!r}",
            at=f"{at}.{name}",
            known=named,
            hint=did_you_mean(name, named),
        )
        for name in given
        if name not in named and not takes_any
    ]
    problems += [
        ConfigError(f"{cls.__name__} needs the argument {name!r}", at=at)
        for name in named
        if parameters[name].default is inspect.Parameter.empty
        and name not in given
        and name not in supplied
    ]
    return problems
