"""``wsoltool plugins [NAME] [--json]``."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable
from typing import Any

from wsoltool.errors import PluginError
from wsoltool.plugin.manager import Catalogue, LoadedPlugin, import_face


def run(arguments: argparse.Namespace) -> None:
    catalogue = Catalogue()
    content: Any
    show: Callable[[Any], None]
    if arguments.name:
        scope = "" if arguments.name == "core" else arguments.name
        content, show = describe(catalogue.plugin(scope)), _print_plugin
    else:
        content, show = overview(catalogue), _print_overview
    if arguments.json:
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        show(content)


def overview(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Name, title, origin and, for broken ones, the error of every plugin; imports no torch."""
    rows = []
    for name in catalogue.origins:
        row: dict[str, Any] = {"name": name, "title": None, "origin": None, "error": None}
        try:
            origin = catalogue.origin(name)
            row["origin"] = origin.description
            row["title"] = _first_line(import_face(origin).__doc__)
        except PluginError as error:
            row["error"] = str(error)
        rows.append(row)
    return rows


def describe(plugin: LoadedPlugin) -> dict[str, Any]:
    """A plugin's documentation and components, by kind."""
    components = [
        {
            "type": name,
            "kind": kind,
            "summary": _first_line(cls.__doc__),
            "arguments": str(inspect.signature(cls)),
        }
        for kind, classes in plugin.classes.items()
        for name, cls in classes.items()
    ]
    return {
        "name": plugin.origin.name or "core",
        "origin": plugin.origin.description,
        "documentation": inspect.cleandoc(plugin.module.__doc__ or ""),
        "components": components,
    }


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _print_overview(rows: list[dict[str, Any]]) -> None:
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        if row["error"]:
            print(f"{row['name']:<{width}}  does not load:")
            print("    " + row["error"].replace("\n", "\n    "))
        else:
            print(f"{row['name']:<{width}}  {row['title']}  [{row['origin']}]")
    print("\nwsoltool plugins NAME shows what one offers; core is the toolbox itself.")


def _print_plugin(content: dict[str, Any]) -> None:
    print(f"{content['name']}  [{content['origin']}]\n\n{content['documentation']}\n")
    for component in content["components"]:
        print(f"{component['kind']}: {component['type']}{_short(component['arguments'])}")
        print(f"    {component['summary']}")


def _short(signature: str) -> str:
    return signature.partition(" -> ")[0].replace("'", "").replace("<factory>", "{}")
