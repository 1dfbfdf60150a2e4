"""Training, scoring and comparing on a prepared data set: what was left out is always told."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from wsoltool.cli import main
from wsoltool.datasets.index import Quarantined, write_index
from wsoltool.datasets.records import BoxTable, Names, Records
from wsoltool.datasets.splits import ids_sha256
from wsoltool.engine import scoring
from wsoltool.engine.scoring import Scoring

# With what would be the end of a style, were it markup.
REMARK = "test has 4 images, its authors say 7 [/train]"
LEFT_OUT = {"train-weaksup": 2, "train-fullsup": 0, "test": 3}
LINES = {
    "train-weaksup": "train-weaksup: 8 images, 2 left out by wsoltool prepare (quarantine)",
    "test": "test: 4 images, 3 left out by wsoltool prepare (quarantine)",
}
CONFIG = """
data_root = {root!r}
_set = dict(type="Images", pipeline=[dict(type="Resize", size=(32, 32))])
train_dataloader = dict(
    batch_size=4, num_workers=1, dataset=dict(**_set, split="train-weaksup")
)
val_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(**_set, split="train-fullsup"))
test_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(**_set, split="test"))
train_cfg = dict(max_epochs=1)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01))
model = dict(backbone=dict(type="SmallNet"), head=dict(type="cam.CAMHead", num_classes=2))
evaluation = dict(resamples=5)
"""


def made(split, count, root):
    """Images of two classes, each with one box."""
    rng, ids = np.random.default_rng(len(split)), [f"{split}/{i}.png" for i in range(count)]
    for image_id in ids:
        (root / image_id).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / image_id), rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    boxes = BoxTable.group(np.arange(count), np.tile([4, 5, 30, 20 + count], (count, 1)), count)
    sizes = np.full((count, 2), 40)
    return Records(Names.of(ids), np.arange(count) % 2, sizes, boxes)


def write(folder, root, counts, left_out):
    write_index(
        folder,
        reader="WsolMetadata",
        options={},
        image_root=root,
        mask_root=root,
        box_convention="exclusive",
        exif=False,
        classes=["cat", "dog"],
        splits={split: made(split, count, root) for split, count in counts.items()},
        quarantined={
            split: [Quarantined(f"{i}.png", "0 bytes") for i in range(count)]
            for split, count in left_out.items()
        },
        remarks=[REMARK],
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with the index, a config, its checkpoint, and the figures on test."""
    folder = tmp_path_factory.mktemp("prepared")
    counts = {"train-weaksup": 8, "train-fullsup": 4, "test": 4}
    write(folder / "index", folder / "images", counts, LEFT_OUT)
    (folder / "config.py").write_text(CONFIG.format(root=str(folder / "index")))
    work = ["--work-dir", str(folder / "work")]
    assert main(["train", str(folder / "config.py"), *work]) == 0
    return folder


@pytest.fixture
def score(wsoltool, run, tmp_path):
    def score(name="figures", *options, config=run / "config.py"):
        """Score into a JSON file; what was printed, and the figures."""
        file = tmp_path / f"{name}.json"
        last = run / "work/last.pth"
        outcome = wsoltool("test", config, last, "--json", file, *options)
        assert outcome.code == 0, outcome
        return outcome, json.loads(file.read_text())

    return score


def flat(text):
    return " ".join(text.split())


def test_training_tells_what_was_left_out(wsoltool, run, tmp_path):
    outcome = wsoltool("train", run / "config.py", "--work-dir", tmp_path)
    assert outcome.code == 0, outcome
    assert outcome.out.count(LINES["train-weaksup"]) == 1
    assert "left out" not in outcome.out.replace(LINES["train-weaksup"], "")
    (log,) = tmp_path.rglob("*.log")
    assert LINES["train-weaksup"] in log.read_text()


def test_the_checkpoint_knows_its_images(run):
    meta = torch.load(run / "work/last.pth", weights_only=True)["meta"]
    ids = [f"train-weaksup/{i}.png" for i in range(8)]
    assert meta["data"] == {
        "train-weaksup": {
            "images": 8,
            "ids_sha256": ids_sha256(ids),
            "quarantined": 2,
            "remarks": [REMARK],
            "shares": {},
        }
    }


def test_the_table_and_the_figures_tell_it(score, run):
    outcome, figures = score()
    for line in LINES.values():
        assert line in flat(outcome.out)
    data = figures["data"]
    assert {split: entry["quarantined"] for split, entry in data.items()} == LEFT_OUT
    assert {split: entry["images"] for split, entry in data.items()} == {
        "train-weaksup": 8,
        "train-fullsup": 4,
        "test": 4,
    }
    assert data["test"]["ids_sha256"] == ids_sha256([f"test/{i}.png" for i in range(4)])


def test_tables_of_further_metrics_tell_it(score, run, tmp_path):
    further = "evaluation = None\nmetrics = [dict(type='DetectionMetric', resamples=0)]\n"
    (tmp_path / "further.py").write_text((run / "config.py").read_text() + further)
    outcome, figures = score("further", config=tmp_path / "further.py")
    assert "Detection of 4 images" in outcome.out
    for line in LINES.values():
        # train-fullsup chooses thresholds, which this table has none of.
        assert line in flat(outcome.out)
    assert {split: entry["quarantined"] for split, entry in figures["data"].items()} == {
        "test": 3,
        "train-weaksup": 2,
    }


def test_figures_without_a_table_tell_it(wsoltool, run, monkeypatch):
    data = {"test": {"images": 4, "quarantined": 3}}
    answer = Scoring(None, None, None, None, {"mine": 1.5}, [], data)
    monkeypatch.setattr(scoring, "score_checkpoint", lambda *_: answer)
    outcome = wsoltool("test", run / "config.py", run / "work/last.pth")
    assert outcome.out.splitlines() == [LINES["test"], "mine: 1.5"]


def test_the_gallery_tells_it(score, tmp_path):
    score("pictures", "--gallery", tmp_path / "g", "--gallery-size", "1")
    page = (tmp_path / "g/index.html").read_text()
    assert f"<p>{LINES['test']}</p>" in page


def test_the_report_of_the_data_tells_it(wsoltool, run, tmp_path):
    file = tmp_path / "data.json"
    outcome = wsoltool("data", run / "config.py", "--json", file, "--images", 1)
    assert outcome.code == 0, outcome
    for line in (*LINES.values(), f"data set: {REMARK}"):
        assert flat(outcome.out).count(line) == 1
    data = json.loads(file.read_text())["data"]
    assert {split: entry["quarantined"] for split, entry in data.items()} == LEFT_OUT


def test_damage_of_the_index_is_told_before_training(wsoltool, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    path = next((tmp_path / "run/index/test").glob("labels-*.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    options = ["--cfg-options", f"data_root={tmp_path / 'run/index'}"]
    outcome = wsoltool("data", run / "config.py", "--images", 1, *options)
    assert outcome.code == 1
    assert "does not hold what was written" in outcome.err
    assert str(path) in outcome.err


def test_the_embedded_set_has_an_identity_and_nothing_to_tell(
    wsoltool, trained, tiny_options, tmp_path
):
    file, config = tmp_path / "f.json", "cam/cam_small_creatures.py"
    outcome = wsoltool("test", config, trained / "last.pth", "--json", file, *tiny_options)
    assert outcome.code == 0, outcome
    assert "left out" not in outcome.out
    data = json.loads(file.read_text())["data"]
    assert {split: entry["images"] for split, entry in data.items()} == {
        "test": 10,
        "train-fullsup": 6,
        "train-weaksup": 24,
    }
    ids = [f"creatures/test/{i:06d}" for i in range(10)]
    assert data["test"]["ids_sha256"] == ids_sha256(ids)
    assert data["test"]["quarantined"] is None


def changed_checkpoint(run, tmp_path, data):
    content = torch.load(run / "work/last.pth", weights_only=True)
    if data is None:
        del content["meta"]["data"]
    else:
        content["meta"]["data"] = data
    torch.save(content, tmp_path / "changed.pth")
    return tmp_path / "changed.pth"


def test_checkpoints_that_do_not_say_are_scored(wsoltool, run, tmp_path):
    old, file = changed_checkpoint(run, tmp_path, None), tmp_path / "f.json"
    outcome = wsoltool("test", run / "config.py", old, "--json", file)
    assert outcome.code == 0, outcome
    assert json.loads(file.read_text())["data"].keys() == {"test", "train-fullsup"}


@pytest.mark.parametrize("data", [7, {"train-weaksup": [1]}, {"train-weaksup": {"images": "x"}}])
def test_checkpoints_that_say_something_else_are_refused(refused, run, tmp_path, data):
    strange = changed_checkpoint(run, tmp_path, data)
    assert "meta.data" in refused("test", run / "config.py", strange)


def test_a_comparison_tells_it(wsoltool, score, run, tmp_path):
    score("a")
    content = json.loads((tmp_path / "a.json").read_text())
    content["data"]["train-weaksup"] |= {"images": 10, "quarantined": 0, "ids_sha256": "0"}
    (tmp_path / "b.json").write_text(json.dumps(content))
    file = tmp_path / "c.json"
    outcome = wsoltool(
        "compare", tmp_path / "a.json", tmp_path / "b.json", "--json", file, "--resamples", "3"
    )
    assert outcome.code == 0, outcome
    text = flat(outcome.out)
    remark = f"data set: {REMARK}."
    assert f"{LINES['test']}. {remark} A, {LINES['train-weaksup']}." in text
    assert "A and B were trained on different images (train-weaksup: 8 and 10)." in text
    assert json.loads(file.read_text())["files"][1]["data"] == content["data"]


def test_a_replaced_index_is_noticed(wsoltool, run, tmp_path):
    """The class names of a checkpoint still fit, its images are others: told, not refused."""
    shutil.copytree(run, tmp_path / "run")
    counts = {"train-weaksup": 6, "train-fullsup": 4, "test": 4}
    write(tmp_path / "run/index", tmp_path / "run/images", counts, {"train-weaksup": 4})
    options = ["--cfg-options", f"data_root={tmp_path / 'run/index'}"]
    last, file = run / "work/last.pth", tmp_path / "f.json"
    outcome = wsoltool("test", run / "config.py", last, "--json", file, *options)
    assert outcome.code == 0, outcome
    assert json.loads(file.read_text())["data"]["train-weaksup"]["images"] == 8
