"""``wsoltool train`` and ``wsoltool test``: what they leave, and how they fail."""

import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from wsoltool.cli import main
from wsoltool.engine.runner import QuietRunner

CONFIG = "cam/cam_small_creatures.py"
FIGURES = {
    "Top-1 Cls",
    "Top-5 Cls",
    "GT-known Loc",
    "Top-1 Loc",
    "MaxBoxAcc",
    "MaxBoxAccV2",
    "MaxBoxAccV2@0.5",
    "MaxBoxAccV2 (fullsup)",
    "mean IoU (part box)",
}


@pytest.fixture(scope="module")
def scored(trained, tiny_options, tmp_path_factory):
    """Folder with the figures and the gallery of the checkpoint, by one run of the command."""
    folder = tmp_path_factory.mktemp("scored")
    arguments = ["--json", str(folder / "new" / "figures.json"), "--gallery", str(folder / "g")]
    size = ["--gallery-size", "3", "--work-dir", str(folder / "work")]
    size += ["--maps", str(folder / "maps")]
    last = str(trained / "last.pth")
    assert main(["test", CONFIG, last, *arguments, *size, *tiny_options]) == 0
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of two classes, a config that trains on it with workers, and its checkpoint."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / "images" / name).mkdir(parents=True)
        for index in range(8):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / "images" / name / f"{index}.jpg"), pixels)
    (folder / "config.py").write_text(
        f"""
data_root = {str(folder / "images")!r}
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    dataset=dict(
        type="Images",
        reader=dict(type="ImageFolders"),
        split="train-weaksup",
        pipeline=[dict(type="Resize", size=(32, 32))],
    ),
)
train_cfg = dict(max_epochs=1, val_interval=0)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01))
model = dict(backbone=dict(type="SmallNet"), head=dict(type="cam.CAMHead", num_classes=2))
"""
    )
    assert main(["train", str(folder / "config.py"), "--work-dir", str(folder / "work")]) == 0
    return folder


@pytest.fixture
def images(photos, tmp_path):
    """A copy of the images that a test may damage."""
    return shutil.copytree(photos / "images", tmp_path / "images")


@pytest.fixture
def training_refused(refused, photos, images, tmp_path):
    """Train on the copy, which must fail with a clean message."""

    def run():
        options = ["--work-dir", tmp_path / "work", "--cfg-options", f"data_root={images}"]
        return refused("train", photos / "config.py", *options)

    return run


def test_training_tells_where_the_checkpoint_is_and_what_to_do_next(
    wsoltool, tiny_options, tmp_path
):
    outcome = wsoltool("train", CONFIG, "--work-dir", tmp_path / "my work", *tiny_options)
    assert outcome.code == 0
    last = tmp_path / "my work" / "last.pth"
    assert last.is_file()
    assert f"checkpoint: {last}" in outcome.out
    assert f"next: wsoltool test {CONFIG} '{last}' --gallery gallery" in outcome.out
    assert re.search(r"epoch 2/2  loss \d\.\d+  \d+ images/s  0:00:00 left", outcome.out)
    assert "mmengine - INFO" not in outcome.out + outcome.err


def test_the_seed_option_replaces_the_configs(wsoltool, tiny_options, trained, tmp_path):
    def weights(folder):
        return torch.load(folder / "last.pth", weights_only=True)["state_dict"]

    for seed in (0, 1):
        folder = ("--work-dir", tmp_path / str(seed))
        assert wsoltool("train", CONFIG, "--seed", seed, *folder, *tiny_options).code == 0
    same, other, first = weights(tmp_path / "0"), weights(tmp_path / "1"), weights(trained)
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_the_json_file_has_every_figure_in_percent(scored, trained):
    content = json.loads((scored / "new" / "figures.json").read_text())
    assert content.keys() >= FIGURES
    assert all(0 <= content[name] <= 100 for name in FIGURES)
    assert Path(content["config"]).name == "cam_small_creatures.py"
    assert content["checkpoint"] == str(trained / "last.pth")


def test_the_maps_give_the_same_boxes_when_they_are_evaluated_from_files(
    scored, wsoltool, tmp_path
):
    from wsoltool.evaluation.results import LocalizationResults

    results = LocalizationResults.load(scored / "new" / "figures.npz")
    ids = results.image_ids.tolist()
    files = sorted((scored / "maps").rglob("*.npy"))
    assert [f.relative_to(scored / "maps").as_posix() for f in files] == [f"{i}.npy" for i in ids]
    lines = {
        "image_ids": ids,
        "class_labels": [f"{i},{label}" for i, label in zip(ids, results.labels, strict=True)],
        "image_sizes": [f"{i},{w},{h}" for i, (h, w) in zip(ids, results.sizes, strict=True)],
        "localization": [
            f"{i}," + ",".join(str(int(side)) for side in box)
            for i, boxes in zip(ids, results.boxes, strict=True)
            for box in boxes
        ],
    }
    for name, content in lines.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(content))
    folders = ("--maps", scored / "maps", "--metadata", tmp_path)
    options = ("--protocol", "tight", "--json", tmp_path / "f.json", "--bad-maps", "miss")
    assert wsoltool("evaluate", *folders, *options).code == 0
    again = LocalizationResults.load(tmp_path / "f.npz")
    for kind in ("largest", "all"):
        expected = getattr(results.curves["tight"], kind)
        np.testing.assert_array_equal(getattr(again.curves["tight"], kind), expected)


def test_the_gallery_shows_the_asked_number_of_pictures(scored):
    page = (scored / "g" / "index.html").read_text()
    pictures = sorted((scored / "g" / "pictures").rglob("*.png"))
    assert len(pictures) == 3
    for picture in pictures:
        assert f'src="{picture.relative_to(scored / "g").as_posix()}"' in page
        height, width = cv2.imread(str(picture)).shape[:2]
        assert width > 3 * height  # image, map, boxes
    assert "MaxBoxAccV2" in page


def test_the_table_goes_to_stdout(wsoltool, trained, tiny_options, tmp_path):
    outcome = wsoltool("test", CONFIG, trained / "last.pth", "--work-dir", tmp_path, *tiny_options)
    assert "Localization of 10 images" in outcome.out
    assert "GT-known Loc" in outcome.out
    assert outcome.err == ""


def test_without_checkpoint_those_of_the_work_directory_are_listed(refused, trained):
    message = refused("test", CONFIG, "--work-dir", trained)
    assert "no checkpoint was given" in message
    assert str(trained / "last.pth") in message
    assert str(trained / "epoch_2.pth") in message


def test_without_any_checkpoint_the_hint_is_to_train(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused("test", CONFIG)
    assert "none lies in the work directory" in message
    assert "work_dirs/cam_small_creatures" in message
    assert "cam_small_creatures.py` writes last.pth" in message
    assert not list(tmp_path.iterdir()), "asking leaves nothing behind"


def test_a_missing_checkpoint_is_named(refused, trained):
    message = refused("test", CONFIG, trained / "lost.pth")
    assert "lost.pth' not found" in message
    assert "last.pth" in message


def test_a_checkpoint_of_another_model_is_refused(refused, trained, tmp_path):
    options = ("--work-dir", tmp_path, "--cfg-options", "model.backbone.channels=8,16,16,16")
    message = refused("test", CONFIG, trained / "last.pth", *options)
    assert "the checkpoint is of another model" in message
    assert "of another shape" in message
    assert "and " in message
    assert " more" in message


def test_a_checkpoint_of_another_number_of_classes_is_refused(refused, trained, tmp_path):
    options = ("--work-dir", tmp_path, "--cfg-options", "test_dataloader.dataset.num_classes=7")
    message = refused("test", CONFIG, trained / "last.pth", *options)
    assert "7 classes" in message


def test_a_checkpoint_of_other_classes_is_refused(refused, trained, tmp_path):
    content = torch.load(trained / "last.pth", weights_only=True)
    content["meta"]["classes"][3] = "unicorn"
    torch.save(content, tmp_path / "other.pth")
    message = refused("test", CONFIG, tmp_path / "other.pth", "--work-dir", tmp_path)
    assert "'unicorn' where the data set has" in message


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("command", ["test", "localize"])
def test_a_malicious_checkpoint_is_refused_and_not_run(refused, trained, tmp_path, command):
    content = torch.load(trained / "last.pth", weights_only=True)
    content["meta"]["note"] = Payload(str(tmp_path / "executed"))
    torch.save(content, tmp_path / "evil.pth")
    rest = [] if command == "test" else [tmp_path, "--out", tmp_path / "out"]
    message = refused(command, CONFIG, tmp_path / "evil.pth", *rest)
    assert "nothing in it was run" in message
    assert not (tmp_path / "executed").exists()
    torch.load(tmp_path / "evil.pth", weights_only=False)
    assert (tmp_path / "executed").exists(), "it would have run, so the test means something"


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {"a": 3}},
        {"state_dict": {}, "meta": []},
        {"state_dict": {}},
        [],
        {"state_dict": {3: torch.ones(1)}},
    ],
)
def test_checkpoints_of_a_strange_shape_are_refused(refused, tmp_path, content):
    torch.save(content, tmp_path / "strange.pth")
    assert "strange.pth" in refused("test", CONFIG, tmp_path / "strange.pth")


@pytest.mark.parametrize("command", ["train", "test"])
def test_a_work_directory_that_cannot_be_made_is_refused(refused, trained, tmp_path, command):
    (tmp_path / "file").write_text("")
    checkpoint = [trained / "last.pth"] if command == "test" else []
    message = refused(command, CONFIG, *checkpoint, "--work-dir", tmp_path / "file" / "below")
    assert "cannot be written" in message
    assert "--work-dir" in message


@pytest.mark.parametrize(("option", "rest"), [("--json", "f.json"), ("--gallery", "")])
def test_results_that_cannot_be_written_are_refused_before_scoring(
    refused, trained, tmp_path, capsys, option, rest
):
    (tmp_path / "file").write_text("")
    message = refused("test", CONFIG, trained / "last.pth", option, tmp_path / "file" / rest)
    assert "cannot be written" in message
    assert option in message
    assert "a folder stands where a file" in refused(
        "test", CONFIG, trained / "last.pth", "--json", tmp_path
    )
    assert "Localization of" not in capsys.readouterr().out


def test_an_unknown_launcher_is_refused(refused, tmp_path):
    assert "'slurm'" in refused("train", CONFIG, "--launcher", "slurm", "--work-dir", tmp_path)


def test_resuming_nothing_is_refused(refused, tiny_options, tmp_path):
    message = refused("train", CONFIG, "--resume", "--work-dir", tmp_path, *tiny_options)
    assert "nothing to resume" in message


def test_a_photo_that_a_worker_cannot_read_is_named(training_refused, images):
    bad = images / "dog" / "5.jpg"
    bad.write_bytes(bad.read_bytes()[:300])
    message = training_refused()
    assert message.startswith("error: the image file is truncated: 300 bytes")
    assert f"  at: {bad}\n" in message
    assert "  hint: " in message


def test_a_photo_that_vanishes_is_named_by_the_worker(training_refused, images, monkeypatch):
    lost = images / "cat" / "0.jpg"
    start = QuietRunner.train

    def train(runner):
        lost.unlink()
        return start(runner)

    monkeypatch.setattr(QuietRunner, "train", train)
    message = training_refused()
    assert message.startswith("error: the image file does not exist\n")
    assert f"  at: {lost}\n" in message


def test_folders_without_photos_are_one_clean_message(training_refused, images):
    (images / "empty").mkdir()
    message = training_refused()
    assert "holds no image" in message
    assert str(images / "empty") in message


def test_the_classes_of_photos_travel_with_the_checkpoint(photos):
    meta = torch.load(photos / "work" / "last.pth", weights_only=True)["meta"]
    assert meta["classes"] == ["cat", "dog"]


METADATA = {
    "image_ids": ["cat/0.jpg", "dog/0.jpg"],
    "class_labels": ["cat/0.jpg,0", "dog/0.jpg,1"],
    "image_sizes": ["cat/0.jpg,40,40", "dog/0.jpg,40,40"],
    "localization": ["cat/0.jpg,0,0,9,9", "dog/0.jpg,0,0,9,9"],
}


@pytest.fixture
def score(wsoltool, photos, tmp_path):
    """Score the photos by metadata, some of whose files are replaced."""

    def run(**changed):
        folder = tmp_path / "metadata" / "test"
        folder.mkdir(parents=True)
        for name, lines in {**METADATA, **changed}.items():
            (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
        (tmp_path / "classes.txt").write_text("0,n0,cat\n1,n1,dog\n")
        reader = {"type": "WsolMetadata", "images": str(photos / "images")}
        reader |= {"metadata": str(folder.parent), "classes": str(tmp_path / "classes.txt")}
        parts = {"type": "Images", "reader": reader, "split": "test"}
        loader = {"batch_size": 2, "num_workers": 1, "dataset": parts}
        text = (photos / "config.py").read_text() + f"test_dataloader = {loader!r}\n"
        (tmp_path / "config.py").write_text(text)
        last = photos / "work" / "last.pth"
        return wsoltool("test", tmp_path / "config.py", last, "--work-dir", tmp_path / "work")

    return run


def test_photos_with_metadata_are_scored(score):
    outcome = score()
    assert outcome.code == 0, outcome
    assert "Localization of 2 images" in outcome.out


@pytest.mark.parametrize(
    ("name", "lines", "expected"),
    [
        ("image_ids", [], "the split is empty"),
        ("class_labels", ["cat/0.jpg,-1", "dog/0.jpg,1"], "label -1 of 'cat/0.jpg'"),
        ("class_labels", ["cat/0.jpg,0", "dog/0.jpg,2"], "label 2 of 'dog/0.jpg'"),
        ("image_ids", ["cat/0.jpg", "cat/0.jpg"], "'cat/0.jpg'"),
        ("localization", ["cat/0.jpg,9,9,0,0", "dog/0.jpg,0,0,9,9"], "box 9,9,0,0"),
        ("image_sizes", ["cat/0.jpg,41,40", "dog/0.jpg,40,40"], "its record says 41 x 40"),
    ],
)
def test_wrong_metadata_is_one_clean_message(score, name, lines, expected):
    outcome = score(**{name: lines})
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")
    assert expected in outcome.err
    assert "Traceback" not in outcome.err
