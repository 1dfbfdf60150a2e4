"""Templates of a plugin package, and the function that fills them."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from wsoltool.errors import ConfigError, WorkDirError

#: File in the new package -> template. The code lies below src: beside a folder of the package's
#: own name, Python would take that folder for the package.
FILES = {
    "pyproject.toml": "pyproject.toml.template",
    "README.md": "README.md.template",
    "src/{name}/__init__.py": "face.py.template",
    "src/{name}/{name}.py": "method.py.template",
    "configs/{name}_small_creatures.py": "config.py.template",
    "tests/test_{name}.py": "test.py.template",
}
#: Letters of a name; the templates' lines stay below 100 with it.
LONGEST = 25


def create_plugin(name: str, folder: Path) -> list[Path]:
    """Write a complete plugin package: a head, a config, a README and a test.

    Args:
        name: Lower-case Python identifier; prefix of its components in configs.
        folder: Made; must be empty if it exists.

    Returns:
        The files written.

    Raises:
        ConfigError: ``name`` is no lower-case identifier, or that of another module.
        WorkDirError: ``folder`` is not empty or cannot be written.
    """
    _check_name(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WorkDirError("the folder is not empty", at=str(folder), hint="name another one")
    camel = "".join(part.capitalize() for part in name.split("_"))
    values = {"name": name, "Name": camel, "dashed": name.replace("_", "-")}
    written = []
    for target, template in FILES.items():
        text = (files(__name__) / template).read_text(encoding="utf-8")
        path = folder / target.format(**values)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_fill(text, values), encoding="utf-8")
        except OSError as error:
            raise WorkDirError(f"cannot be written: {error.strerror}", at=str(path)) from error
        written.append(path)
    return written


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"{name!r} cannot be a plugin's name",
            expected="lower-case letters, digits and single underscores, such as my_cam",
        )
    if len(name) > LONGEST:
        raise ConfigError(f"{name!r} is too long", expected=f"at most {LONGEST} letters")
    spec = find_spec(name)
    if spec is not None and spec.origin is not None:
        raise ConfigError(
            f"{name!r} is the name of a Python module that is installed",
            at=spec.origin,
            hint="choose another name: only one of them could be imported",
        )


def _fill(text: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text
