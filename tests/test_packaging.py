"""A wheel takes what the source tree holds: every package, and every file beside the code."""

from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")

IGNORED = ("__pycache__", ".egg-info")


@pytest.fixture(scope="module")
def settings(repository):
    with (repository / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["tool"]["setuptools"]


def files(repository, settings):
    """(package, path below the package's folder) of every file that belongs to the project."""
    for package, folder in settings["package-dir"].items():
        root = repository / folder
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            inside = path.relative_to(root)
            if not any(part.endswith(IGNORED) for part in inside.parts):
                yield package, inside


def test_every_folder_with_code_is_listed_as_a_package(repository, settings):
    found = set()
    for package, path in files(repository, settings):
        if path.suffix == ".py":
            parts = (package, *path.parent.parts)
            found.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    assert found == set(settings["packages"])


def test_every_other_file_is_taken_along(repository, settings):
    packages = {name.replace(".", "/") for name in settings["packages"]}
    patterns = settings["package-data"]["*"]
    for package, path in files(repository, settings):
        if path.suffix == ".py":
            continue
        whole = Path(package) / path
        holders = [parent for parent in whole.parents if parent.as_posix() in packages]
        below = whole.relative_to(holders[0])
        # A pattern means one folder level a part, as setuptools reads it.
        taken = (
            len(below.parts) == len(Path(pattern).parts) and below.match(pattern)
            for pattern in patterns
        )
        assert any(taken), f"{whole} would be missing from a wheel"
