"""The manual's reader in one file, installed as a plugin: read, looked through and prepared."""

import json

import pytest

from wsoltool.testing import check_reader

SPECIES = ("Amsel", "house sparrow")
PYPROJECT = """\
[project]
name = "my-birds"
version = "0.1.0"

[project.entry-points."wsoltool.plugins"]
my_birds = "my_birds"
"""
CONFIG = """
data_root = {root!r}
_set = dict(type="Images", reader=dict(type="my_birds.MyBirds", fullsup_share=0.3))
_pipeline = [dict(type="Resize", size=32)]
train_dataloader = dict(dataset=dict(**_set, split="train-weaksup", pipeline=_pipeline))
val_dataloader = dict(dataset=dict(**_set, split="train-fullsup", pipeline=_pipeline))
test_dataloader = dict(dataset=dict(**_set, split="test", pipeline=_pipeline))
"""


@pytest.fixture
def example(repository):
    return repository / "tests" / "datasets" / "readers" / "example" / "my_birds.py"


@pytest.fixture
def birds(tmp_path, write_image):
    """The data set's folder, as its text files are written on Windows."""
    root = tmp_path / "birds"
    for part, count in (("train", 12), ("test", 4)):
        names = [f"{part} {number}.jpg" for number in range(count)]
        for number, name in enumerate(names):
            write_image(root / "photos" / name, (24, 32), seed=number + 100 * (part == "test"))
        rows = [f"{name},{i % 2},{i},2,{i + 10},20" for i, name in enumerate(names)]
        (root / f"{part}.csv").write_bytes("\r\n".join(rows).encode())
    (root / "species.txt").write_text("\n".join(SPECIES), encoding="utf-8")
    return root


@pytest.fixture
def installed(example, tmp_path):
    """What finds the example as pip would have installed it."""
    site = tmp_path / "site"
    info = site / "my_birds-0.1.0.dist-info"
    info.mkdir(parents=True)
    (site / "my_birds.py").write_text(example.read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-birds\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[wsoltool.plugins]\nmy_birds = my_birds\n")
    return {"PYTHONPATH": str(site)}


def test_it_keeps_the_readers_contract(example, birds, monkeypatch):
    monkeypatch.syspath_prepend(str(example.parent))
    import my_birds

    reader = my_birds.MyBirds()
    check_reader(reader, birds)
    test = reader.read(birds, "test")
    assert test.classes == SPECIES
    assert test.records.boxes[3].tolist() == [[3, 2, 13, 20]]
    assert test.records.labels.tolist() == [0, 1, 0, 1]
    assert reader.read(birds, "train-weaksup").records.boxes is None


def test_a_wrong_line_is_a_problem_of_its_photo_alone(example, birds, monkeypatch):
    monkeypatch.syspath_prepend(str(example.parent))
    import my_birds

    path = birds / "test.csv"
    path.write_text(path.read_text().replace("test 2.jpg,0,2", "test 2.jpg,0,two"))
    reading = my_birds.MyBirds().read(birds, "test")
    assert len(reading.records) == 3
    assert str(reading.problems[0].error.at) == f"{path}:3"


def test_it_is_listed_and_looked_through(birds, installed, tmp_path, run_python):
    here = {"cwd": tmp_path, **installed}
    assert "my_birds.MyBirds" in run_python("-m", "wsoltool", "plugins", "my_birds", **here)
    (tmp_path / "birds.py").write_text(CONFIG.format(root=str(birds)))
    run_python(
        "-m", "wsoltool", "data", "birds.py", "--json", "data.json", "--out", "sheets", **here
    )
    train, fullsup, test = json.loads((tmp_path / "data.json").read_text())["splits"]
    assert train["images"] + fullsup["images"] == 12
    assert fullsup["boxes"]["count"] == fullsup["images"] > 0
    assert test["classes"]["images"] == {"Amsel": 2, "house sparrow": 2}


def test_it_can_be_prepared(birds, installed, tmp_path, run_python):
    here = {"cwd": tmp_path, **installed}
    shown = run_python("-m", "wsoltool", "prepare", "my_birds.MyBirds", birds, "prepared", **here)
    assert 'data_root="' in shown
    assert any((tmp_path / "prepared").iterdir())


def test_the_manual_shows_this_very_file(example, readme):
    section = readme.partition("## A data set of your own\n")[2].partition("\n## ")[0]
    assert f"```python\n{example.read_text()}```" in section
    assert f"```toml\n{PYPROJECT}```" in section
