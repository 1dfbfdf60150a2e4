"""Finds plugins, loads the one that is named, and turns ``type`` strings into objects.

Discovery imports nothing. The first lookup of a prefix imports that plugin alone, validates all
that it offers and registers all of it or nothing. A plugin that fails keeps failing with the same
error; the others are unaffected.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module, metadata
from types import ModuleType
from typing import Any

import pluggy

from wsoltool.errors import (
    ConfigError,
    PluginError,
    UnknownComponentError,
    WsolError,
    did_you_mean,
)
from wsoltool.plugin import hookspecs
from wsoltool.registry import KINDS, SLOTS, Kind, Registry, argument_problems, handed_on, locate

ENTRY_POINT_GROUP = "wsoltool.plugins"
BUILTIN_PACKAGE = "wsoltool_plugins"
CORE_MODULE = "wsoltool.plugin.core"
RESERVED = {scope for kind in KINDS.values() for scope in kind.foreign} | {"wsoltool", "core"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a plugin comes from: its module, and what to call that in messages."""

    name: str
    module: str
    description: str


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A validated plugin: its module, its hooks' manager and its classes by kind."""

    origin: Origin
    module: ModuleType
    hooks: pluggy.PluginManager
    classes: Mapping[str, Mapping[str, type]]


def discover() -> dict[str, list[Origin]]:
    """Every plugin by name; more than one origin for a name is a collision."""
    found: dict[str, list[Origin]] = {}
    builtin = import_module(BUILTIN_PACKAGE)
    for info in pkgutil.iter_modules(builtin.__path__):
        module = f"{BUILTIN_PACKAGE}.{info.name}"
        found.setdefault(info.name, []).append(Origin(info.name, module, f"built-in {module}"))
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP):
        package = point.dist.name if point.dist else "an unknown package"
        origin = Origin(point.name, point.value, f"{point.value} of package {package}")
        if origin not in found.setdefault(point.name, []):
            found[point.name].append(origin)
    return dict(sorted(found.items()))


class Catalogue:
    """All components that configs may name.

    Args:
        origins: Plugins by name; all that are installed by default.
        kinds: The kinds that are asked for; what only others need, such as torch, is then not
            imported.
    """

    def __init__(
        self,
        origins: Mapping[str, Sequence[Origin]] | None = None,
        kinds: Iterable[str] = tuple(KINDS),
    ) -> None:
        self.origins = dict(discover() if origins is None else origins)
        self._registries = {name: Registry(KINDS[name]) for name in kinds}
        self._outcomes: dict[str, LoadedPlugin | PluginError] = {}

    def plugin(self, name: str) -> LoadedPlugin:
        """Load a plugin, once; ``''`` is the core's own components.

        Raises:
            PluginError: Not installed, broken, invalid, or two of that name.
        """
        if name not in self._outcomes:
            try:
                self._outcomes[name] = self._load(name)
            except PluginError as error:
                self._outcomes[name] = error
        outcome = self._outcomes[name]
        if isinstance(outcome, PluginError):
            raise outcome
        return outcome

    def _load(self, name: str) -> LoadedPlugin:
        origin = self.origin(name)
        module = import_face(origin)
        hooks = _checked_hooks(module, origin)
        offered: dict[str, dict[str, type]] = {}
        seen: dict[str, str] = {}
        for kind_name, registry in self._registries.items():
            offered[kind_name] = _offered(registry, hooks, origin)
            for component in offered[kind_name]:
                if component in seen:
                    raise PluginError(
                        f"{origin.description} offers {component!r} as {seen[component]} and as "
                        f"{kind_name}",
                        expected="one kind for each class",
                    )
                seen[component] = kind_name
        for kind_name, classes in offered.items():
            self._registries[kind_name].commit(classes)
        return LoadedPlugin(origin, module, hooks, offered)

    def origin(self, name: str) -> Origin:
        """Where a plugin comes from; ``''`` is the core.

        Raises:
            PluginError: No such plugin, or two of that name.
        """
        if not name:
            return Origin("", CORE_MODULE, "the core")
        origins = self.origins.get(name, ())
        if not origins:
            raise PluginError(
                f"no plugin named {name!r}",
                known=self.origins,
                hint=did_you_mean(name, self.origins)
                or f"install a package with an entry point in group {ENTRY_POINT_GROUP!r}",
            )
        if len(origins) > 1 or name in RESERVED:
            both = [origin.description for origin in origins]
            raise PluginError(
                f"plugin name {name!r} is {'reserved' if name in RESERVED else 'taken twice'}",
                at=" and ".join(both),
                hint="uninstall one of them, or give it another entry-point name",
            )
        return origins[0]

    def names(self, kinds: Iterable[str], scope: str | None = None) -> tuple[str, ...]:
        """Names of loaded components of some kinds, of one scope or of all."""
        found = (name for kind in kinds for name in self._registries[kind].names())
        return tuple(n for n in found if scope is None or n.rpartition(".")[0] == scope)

    def name_of(self, kind: str, cls: type) -> str:
        """What configs call a class; one that no loaded plugin offers goes by module and name."""
        registry = self._registries[kind]
        offered = (name for name in registry.names() if registry.get(name) is cls)
        return next(offered, f"{cls.__module__}.{cls.__qualname__}")

    def resolve(self, kinds: Sequence[str], name: object, at: str) -> type:
        """The class behind a ``type``.

        Raises:
            UnknownComponentError: No such component of these kinds, with near names.
            PluginError: The prefix names a plugin that does not load.
        """
        if not isinstance(name, str) or not name:
            raise ConfigError(
                f"type is {name!r}", at=at, expected=f"the name of a {_or(kinds)} as a string"
            )
        self.plugin("")
        scope = name.rpartition(".")[0]
        for kind in kinds:
            found = _foreign(KINDS[kind], name, at) or self._in_scope(kind, scope, name, at)
            if found:
                return found
        raise self._unknown(kinds, scope, name, at)

    def _in_scope(self, kind: str, scope: str, name: str, at: str) -> type | None:
        if scope in self.origins:
            try:
                self.plugin(scope)
            except PluginError as error:
                # The stored error must not keep the first place that met it.
                raise PluginError(
                    error.what, at=error.at or at, expected=error.expected, hint=error.hint
                ) from error
        return self._registries[kind].get(name)

    def _unknown(
        self, kinds: Sequence[str], scope: str, name: str, at: str
    ) -> UnknownComponentError:
        known = self.names(kinds, scope) or self.names(kinds)
        hint = did_you_mean(name, self.names(kinds))
        if scope and scope not in self.origins and scope not in RESERVED:
            known = tuple(self.origins)
            return UnknownComponentError(
                f"{_or(kinds)} {name!r} not found: no plugin {scope!r}",
                at=at,
                known=known,
                hint=did_you_mean(scope, known) or hint,
            )
        if hint is None and not scope:
            hint = self._hint_from_plugins(kinds, name)
        other = [kind for kind, found in self._registries.items() if name in found.names()]
        if other:
            hint = f"{name!r} is a {other[0]}, which cannot stand here"
        return UnknownComponentError(
            f"{_or(kinds)} {name!r} not found", at=at, known=known, hint=hint
        )

    def _hint_from_plugins(self, kinds: Sequence[str], name: str) -> str | None:
        # Only after a failed lookup: a forgotten prefix is worth loading the built-ins for.
        for scope, origins in self.origins.items():
            if all(origin.module.startswith(BUILTIN_PACKAGE) for origin in origins):
                try:
                    self.plugin(scope)
                except PluginError:
                    continue
        return did_you_mean(name, self.names(kinds))

    def build(self, kinds: Sequence[str], config: Any, at: str, **supplied: Any) -> Any:
        """Make the component that a config dict describes, nested ones first.

        Args:
            kinds: What may stand here.
            config: ``dict(type=..., **arguments)``; not changed. Built objects pass through.
            at: Config path, for the messages.
            supplied: Arguments passed where the class asks for them and the config is silent; to
                components of the same kinds within it too, and to no others: what one kind calls
                ``channels`` is another thing to the next.

        Raises:
            WsolError: With the config path, whatever the constructor refuses.
        """
        if not isinstance(config, Mapping):
            return self._accept_built(kinds, config, at)
        cls = self.resolve(kinds, config.get("type"), f"{at}.type")
        arguments = {
            key: self._build_nested(key, value, f"{at}.{key}", handed_on(kinds, key, supplied))
            for key, value in config.items()
            if key != "type"
        }
        parameters = inspect.signature(cls).parameters
        extra = {k: v for k, v in supplied.items() if k in parameters and k not in arguments}
        problems = argument_problems(cls, arguments, at, extra)
        if problems:
            raise problems[0]
        try:
            return cls(**arguments, **extra)
        except WsolError as error:
            raise error.located(at) from error
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{cls.__name__} refused its arguments: {error}", at=at) from error

    def _accept_built(self, kinds: Sequence[str], component: Any, at: str) -> Any:
        if any(isinstance(component, KINDS[kind].base_class()) for kind in kinds):
            return component
        raise ConfigError(
            f"{at.rpartition('.')[2]} is {component!r}",
            at=at,
            expected=f"dict(type=...) of a {_or(kinds)}",
        )

    def _build_nested(self, key: str, value: Any, at: str, supplied: Mapping[str, Any]) -> Any:
        kinds = SLOTS.get(key)
        if kinds is None or value is None:
            return value
        if isinstance(value, (list, tuple)):
            return [
                self.build(kinds, item, f"{at}[{i}]", **supplied) for i, item in enumerate(value)
            ]
        if isinstance(value, Mapping) and "type" in value:
            return self.build(kinds, value, at, **supplied)
        if isinstance(value, Mapping):
            return {
                name: self.build(kinds, item, f"{at}.{name}", **supplied)
                for name, item in value.items()
                if item is not None
            }
        return value


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The process's catalogue of all installed components."""
    return Catalogue()


def build(kinds: str | Sequence[str], config: Any, at: str, **supplied: Any) -> Any:
    """:meth:`Catalogue.build` on the process's catalogue."""
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    return catalogue().build(kinds, config, at, **supplied)


def import_face(origin: Origin) -> ModuleType:
    """Import a plugin's ``__init__.py``; whatever it raises becomes a PluginError."""
    try:
        module = import_module(origin.module)
    except Exception as error:
        raise PluginError(
            f"plugin {origin.name!r} cannot be imported: {type(error).__name__}: {error}",
            at=origin.description,
            hint="run `wsoltool plugins --debug " + origin.name + "` for the traceback",
        ) from error
    if module.__file__ is None:  # Python takes any folder of that name for a package
        raise PluginError(
            f"plugin {origin.name!r} is hidden by a folder without __init__.py",
            at=", ".join(module.__path__),
            expected=origin.description,
            hint="start from another folder",
        )
    return module


def _checked_hooks(module: ModuleType, origin: Origin) -> pluggy.PluginManager:
    manager = pluggy.PluginManager("wsoltool")
    manager.add_hookspecs(hookspecs)
    known = [name for name in vars(hookspecs) if name.startswith("wsoltool_")]
    for name, value in vars(module).items():
        if not (name.startswith("wsoltool_") and inspect.isfunction(value)):
            continue
        if name not in known:
            raise PluginError(
                f"plugin {origin.name!r} implements an unknown hook {name!r}",
                at=origin.description,
                known=known,
                hint=did_you_mean(name, known),
            )
        if not hasattr(value, "wsoltool_impl"):
            raise PluginError(
                f"hook {name!r} of plugin {origin.name!r} is not decorated",
                at=origin.description,
                expected="@hookimpl from wsoltool.plugin above it",
            )
    if not any(name in vars(module) for name in known):
        raise PluginError(
            f"plugin {origin.name!r} implements no hook",
            at=origin.description,
            known=known,
        )
    try:
        manager.register(module, name=origin.name or "core")
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(str(error), at=origin.description) from error
    return manager


def _offered(registry: Registry, hooks: pluggy.PluginManager, origin: Origin) -> dict[str, type]:
    try:
        answers = getattr(hooks.hook, registry.kind.hook)()
    except Exception as error:
        raise PluginError(
            f"{registry.kind.hook} of plugin {origin.name!r} failed: "
            f"{type(error).__name__}: {error}",
            at=origin.description,
        ) from error
    return registry.validate(origin.name, answers[0], origin.description) if answers else {}


def _foreign(kind: Kind, name: str, at: str) -> type | None:
    scope, _, own = name.rpartition(".")
    if scope not in kind.foreign:
        return None
    registry = locate(kind.foreign[scope])
    cls = registry.module_dict.get(own)
    if cls is None:
        raise UnknownComponentError(
            f"{kind.name} {name!r} not found in {scope}",
            at=at,
            hint=did_you_mean(own, registry.module_dict),
        )
    return cls


def _or(kinds: Sequence[str]) -> str:
    return " or ".join(kinds)
