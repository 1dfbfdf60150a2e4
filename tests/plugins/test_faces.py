"""What holds for the face of every plugin."""

import subprocess
import sys
from pathlib import Path

import pytest

import wsoltool_plugins

FACES = sorted(p.parent.name for p in Path(wsoltool_plugins.__path__[0]).glob("*/__init__.py"))


@pytest.mark.parametrize("name", FACES)
def test_importing_a_face_imports_no_torch(name):
    code = f"import sys, wsoltool_plugins.{name}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", FACES)
def test_a_plugin_folder_is_complete_and_its_face_short(name):
    folder = Path(wsoltool_plugins.__path__[0]) / name
    face = (folder / "__init__.py").read_text()
    assert len(face.splitlines()) < 60
    assert "https://" in face
    readme = (folder / "README.md").read_text()
    assert "citation" in readme.lower()
    assert "deviations" in readme.lower()
