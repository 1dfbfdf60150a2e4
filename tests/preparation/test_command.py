"""What the command takes and refuses: readers, configs, options, folders."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wsoltool.datasets.index import open_index
from wsoltool.preparation.fingerprints import MOST_BITS


def test_the_index_of_an_earlier_run_is_mentioned(birds, prepare):
    assert prepare("CUB200", birds.root).code == 0
    birds.path("001.Auk/test_0.jpg").unlink()
    run = prepare("CUB200", birds.root)
    assert run.code == 1
    assert "the index of an earlier run stays" in run.out


@pytest.mark.parametrize(
    ("reader", "options", "what"),
    [
        ("cub200", (), "did you mean 'CUB200'?"),
        ("SmallNet", (), "data set reader 'SmallNet' not found"),
        ("my_birds.Birds", (), "no plugin 'my_birds'"),
        ("CUB200", ("--option", "fullsup_shaer=0.1"), "did you mean 'fullsup_share'?"),
        ("CUB200", ("--option", "fullsup_share=2"), "fullsup_share"),
        ("CUB200", ("--option", "fullsup_share"), "KEY=VALUE"),
        ("CUB200", ("--option", "exif={1}"), "as JSON"),
        ("CUB200", ("--option", "parts=train", "parts.test=val"), "parts has a value of its own"),
        ("CUB200", ("--headers-only", "--near-duplicates"), "needs pixels"),
    ],
)
def test_wrong_arguments(birds, prepare, reader, options, what):
    run = prepare(reader, birds.root, *options)
    assert run.code == 1
    assert run.err.startswith("error: ")
    assert what in run.err


def test_wrong_usage(birds, prepare):
    beyond = str(MOST_BITS + 1)
    for options in (("--near-duplicates", beyond), ("--workers", "0"), ("--near-duplicates", "x")):
        assert prepare("CUB200", birds.root, *options).code == 2


def test_a_missing_source_says_how_to_get_it(tmp_path, prepare, monkeypatch):
    run = prepare("CUB200", tmp_path / "none")
    assert run.code == 1
    assert "--download fetches it from https://data.caltech.edu" in run.err
    assert "by hand" in prepare("ImageFolders", tmp_path / "none").err
    monkeypatch.setenv("WSOLTOOL_DATA", str(tmp_path))
    monkeypatch.chdir("/")
    (tmp_path / "cub").mkdir()
    assert f"did you mean {tmp_path}/cub?" in prepare("CUB200", "cub").err


def test_structural_defects_stop_at_once(birds, prepare):
    (birds.home / "bounding_boxes.txt").unlink()
    run = prepare("CUB200", birds.root)
    assert run.code == 1
    assert "bounding_boxes.txt" in run.err
    assert not (run.folder / "problems.csv").exists()


def test_a_folder_among_the_images_is_refused(birds, prepare, snapshot):
    before = snapshot(birds.root)
    run = prepare("CUB200", birds.root, folder=birds.home / "images/index")
    assert run.code == 1
    assert "lies in the image folder" in run.err
    assert snapshot(birds.root) == before


def test_an_archive_is_no_source(birds, prepare):
    run = prepare("CUB200", birds.path("001.Auk/test_0.jpg"))
    assert run.code == 1
    assert "a file stands where the data set's folder should" in run.err
    assert not run.folder.exists()


def test_no_torch_is_imported(birds, tmp_path):
    code = "import sys; from wsoltool.cli import main; code = main(sys.argv[1:])"
    code += "; sys.exit(f'torch after {code}' if 'torch' in sys.modules else 0)"
    command = ["prepare", "CUB200", str(birds.root), str(tmp_path / "p"), "--quarantine"]
    command += ["--near-duplicates"]
    run = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert (tmp_path / "p/index.json").is_file()


def test_a_config_names_the_reader(birds, prepare, repository, tmp_path):
    base = repository / "configs/_base_/datasets/cub_native.py"
    own = tmp_path / "own.py"
    reader = 'dict(type="CUB200", fullsup_share=0.5)'
    own.write_text(f'test_dataloader = dict(dataset=dict(type="Images", reader={reader}))')
    for config, options in ((base, ["--option", "fullsup_share=0.5"]), (own, [])):
        run = prepare(config, birds.root, *options, folder=config.stem)
        assert run.code == 0, run.err
        index = open_index(run.folder)
        assert (index.reader, dict(index.options)) == ("CUB200", {"fullsup_share": 0.5})


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('test_dataloader = dict(dataset=dict(type="Creatures"))', "no"),
        (
            "".join(
                f'{name}_dataloader = dict(dataset=dict(reader=dict(type="{reader}")))\n'
                for name, reader in {"train": "CUB200", "test": "PascalVOC"}.items()
            ),
            "2",
        ),
    ],
)
def test_a_config_must_name_one_reader(birds, prepare, tmp_path, text, count):
    config = tmp_path / "config.py"
    config.write_text(text)
    run = prepare(config, birds.root)
    assert run.code == 1
    assert f"the config's data sets have {count} readers" in run.err
    assert str(config) in run.err
    assert not run.folder.exists()
