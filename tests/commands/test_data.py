"""``wsoltool data``: what it prints, writes, refuses; nothing of it needs a model."""

import json

import cv2
import numpy as np
import pytest

from wsoltool.engine import data_report

CREATURES = "cam/cam_small_creatures_multilabel.py"
TINY = [
    "--cfg-options",
    *(f"{loader}_dataloader.dataset.length=9" for loader in ("train", "val", "test")),
    *(f"{loader}_dataloader.dataset.image_size=64" for loader in ("train", "val", "test")),
]
CONFIG = """
data_root = {root!r}
_set = dict(type="Images", reader=dict(type="WsolMetadata", images="."))
_pipeline = [dict(type="Resize", size=32), dict(type="RandomCrop", size=24)]
train_dataloader = dict(dataset=dict(**_set, split="train-weaksup", pipeline=_pipeline))
test_dataloader = dict(dataset=dict(**_set, split="test", pipeline=_pipeline))
"""


@pytest.fixture
def birds(tmp_path):
    """Two splits of boxed images, a config without model, and its path."""
    root = tmp_path / "birds"
    for split in ("train-weaksup", "test"):
        names = [f"{split}/größe-{number}.png" for number in range(5)]
        metadata = root / "metadata" / split
        metadata.mkdir(parents=True)
        (root / split).mkdir()
        lines = {"image_ids": names}
        lines["class_labels"] = [f"{name},{i % 2}" for i, name in enumerate(names)]
        lines["image_sizes"] = [f"{name},40,30" for name in names]
        lines["localization"] = [f"{name},{i},0,{i + 20},15" for i, name in enumerate(names)]
        for name, rows in lines.items():
            (metadata / f"{name}.txt").write_text("\n".join(rows), encoding="utf-8")
        pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        for name in names:
            (root / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    (root / "classes.txt").write_text("0,n0,Amsel\n1,n1,Grünspecht\n2,n2,猫")
    path = tmp_path / "birds.py"
    path.write_text(CONFIG.format(root=str(root)))
    return path


def test_table_json_and_sheets_of_creatures(wsoltool, tmp_path):
    file, out = tmp_path / "figures.json", tmp_path / "sheets"
    arguments = ("--json", file, "--out", out, "--images", 5, *TINY)
    outcome = wsoltool("data", CREATURES, *arguments)
    assert outcome.code == 0, outcome
    assert "boxes of train-weaksup are never read" in outcome.out
    found = json.loads(file.read_text())
    assert found["format"] == "wsoltool data 1"
    assert found["problems"] == []
    assert found["config"].endswith("cam_small_creatures_multilabel.py")
    assert len(found["cfg_options"]) == 6
    train, val, test = found["splits"]
    assert [s["split"] for s in found["splits"]] == ["train-weaksup", "train-fullsup", "test"]
    assert [s["images"] for s in found["splits"]] == [9, 9, 9]
    assert train["boxes"] is train["masks"] is train["segments"] is None
    assert test["boxes"]["count"] == round(9 * test["boxes"]["mean"]) >= 9
    assert val["masks"] == val["segments"] == 100.0
    assert test["inputs"] == {"tried": 5, "sizes": [[64, 64]]}
    assert set(test) == {
        *("loader", "split", "images", "multi_label", "classes", "labels_per_image", "sizes"),
        *("boxes", "boxes_withheld", "masks", "segments", "inputs"),
    }
    sheets = [str(out / f"contact_sheet_{name}.png") for name in ("train", "val", "test")]
    assert found["contact_sheets"] == sheets
    for sheet in sheets:
        assert f"contact sheet: {sheet}\n" in outcome.out
        assert cv2.imread(sheet).shape[1] > 1000


def test_names_are_no_markup(wsoltool, birds, tmp_path):
    names = ("[bold]Amsel[/bold]", ":cat:", "[/]")
    lines = "\n".join(f"{i},n{i},{name}" for i, name in enumerate(names))
    (tmp_path / "birds/classes.txt").write_text(lines)
    out, file = tmp_path / "[red]sheets", tmp_path / "[x].json"
    outcome = wsoltool("data", birds, "--out", out, "--json", file)
    assert outcome.code == 0, outcome
    assert "[bold]Amsel[/bold] 3" in outcome.out
    assert ":cat: 2" in outcome.out
    assert "1: [/]" in outcome.out
    assert f"contact sheet: {out / 'contact_sheet_test.png'}\n" in outcome.out
    assert f"figures: {file}\n" in outcome.out


def test_a_data_set_of_ones_own_without_images_is_named(wsoltool, birds, tmp_path, monkeypatch):
    from wsoltool.datasets.creatures import Creatures

    monkeypatch.setattr(Creatures, "__init__", lambda self, **_: setattr(self, "image_ids", ()))
    monkeypatch.setattr(Creatures, "split", "test", raising=False)
    text = 'val_dataloader = dict(dataset=dict(type="Creatures", split="train-fullsup", length=1))'
    birds.write_text(f"{birds.read_text()}\n{text}")
    outcome = wsoltool("data", birds, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "Creatures is empty" in outcome.err
    assert "at: val_dataloader.dataset" in outcome.err
    assert (tmp_path / "out/contact_sheet_test.png").is_file()


def test_the_seed_decides_what_is_shown(wsoltool, birds, tmp_path):
    def sheet(seed):
        out = tmp_path / f"seed{seed}"
        assert wsoltool("data", birds, "--images", 2, "--seed", seed, "--out", out).code == 0
        return (out / "contact_sheet_train.png").read_bytes()

    assert sheet(1) == sheet(1) != sheet(2)


def test_the_default_folder_is_the_runs(wsoltool, birds, tmp_path):
    assert wsoltool("data", birds).code == 0
    assert (tmp_path / "work_dirs/birds/data/contact_sheet_test.png").is_file()


def test_the_global_random_state_is_left_alone(wsoltool, birds, tmp_path):
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    assert wsoltool("data", birds, "--out", tmp_path / "out").code == 0
    assert (np.random.get_state()[1] == before).all()


def test_an_image_in_two_splits_and_other_classes_are_named(wsoltool, birds, tmp_path):
    metadata = tmp_path / "birds/metadata"
    for file in (metadata / "train-weaksup").iterdir():
        (metadata / "test" / file.name).write_bytes(file.read_bytes())
    file = tmp_path / "figures.json"
    options = ("--out", tmp_path / "out", "--json", file)
    outcome = wsoltool("data", birds, *options)
    assert outcome.code == 1
    assert "images are in both train-weaksup and test" in outcome.err
    assert "train-weaksup" in outcome.out  # the table is printed all the same
    assert "in both" in json.loads(file.read_text())["problems"][0]


def test_a_head_of_another_number_of_classes_is_named(wsoltool, birds, tmp_path):
    text = 'model = dict(type="Localizer", backbone=dict(type="SmallNet"),'
    birds.write_text(birds.read_text() + text + ' head=dict(type="cam.CAMHead", num_classes=7))')
    outcome = wsoltool("data", birds, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "the head has 7 classes, the data set has 3" in outcome.err


def test_a_split_that_cannot_be_read_leaves_the_others(wsoltool, birds, tmp_path):
    (tmp_path / "birds/metadata/test/image_ids.txt").unlink()
    outcome = wsoltool("data", birds, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "image_ids.txt" in outcome.err
    assert "train-weaksup" in outcome.out
    assert (tmp_path / "out/contact_sheet_train.png").is_file()
    assert not (tmp_path / "out/contact_sheet_test.png").exists()


def test_broken_images_are_named_and_left_out(wsoltool, birds, tmp_path):
    (tmp_path / "birds/test/größe-3.png").write_bytes(b"")
    outcome = wsoltool("data", birds, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "the image file is empty" in outcome.err
    assert "größe-3.png" in outcome.err
    assert (tmp_path / "out/contact_sheet_test.png").is_file()


def test_many_broken_images_are_counted(wsoltool, birds, tmp_path, monkeypatch):
    names = (tmp_path / "birds/metadata/test/image_ids.txt").read_text(encoding="utf-8").split()
    for name in names:
        (tmp_path / "birds" / name).unlink()
    monkeypatch.setattr(data_report, "NAMED", 3)
    outcome = wsoltool("data", birds, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert outcome.err.count("does not exist") == 3
    assert "2 more of the images of test that were looked at cannot be used" in outcome.err
    assert not (tmp_path / "out/contact_sheet_test.png").exists()
    assert "test" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.py",), "config 'nothing.py' not found"),
        (("birds", "--cfg-options", "test_dataloader.dataset.splt=x"), "did you mean 'split'?"),
        (("birds", "--cfg-options", "data_root=/no/such"), "/no/such"),
        (("birds", "--json", "."), "a folder stands where a file is to be written"),
        (("birds", "--out", "birds.py/below"), "the folder cannot be written"),
    ],
)
def test_bad_input_is_refused(refused, birds, arguments, message):
    config, *options = arguments
    path = birds if config == "birds" else config
    assert message in refused("data", path, *options)


def test_a_config_without_data_is_refused(refused, tmp_path):
    path = tmp_path / "empty.py"
    path.write_text("randomness = dict(seed=0)\n")
    assert "names no data set" in refused("data", path, "--out", tmp_path / "out")


def test_real_photos(wsoltool, real_data, tmp_path, monkeypatch):
    if not (real_data / "tinyimagenet50").is_dir():
        pytest.skip("no tinyimagenet50 in WSOLTOOL_DATA")
    file = tmp_path / "figures.json"
    options = ("--out", tmp_path, "--json", file, "--images", 3)
    outcome = wsoltool("data", "cam/cam_mobilenetv1_tinyimagenet50.py", *options)
    assert outcome.code == 0, outcome
    train, val, test = json.loads(file.read_text())["splits"]
    assert [s["images"] for s in (train, val, test)] == [10_000, 250, 2500]
    assert (train["classes"]["min"], train["classes"]["max"]) == (200, 200)
    small = sum(test["boxes"]["area"]["counts"][:4])
    assert small == 1290  # objects below half of the image
    assert train["inputs"]["sizes"] == [[128, 128]]
