"""Photos in any form to boxes in their own pixels; what cannot be used is told, not fatal."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch

from wsoltool.config import load_config, plain
from wsoltool.engine.localization import PhotoLocalizer, localize
from wsoltool.errors import CheckpointError, ConfigError, WorkDirError
from wsoltool.models.builder import build_localizer

CLASSES = ["owl", "Waldkauz <ä>", *(f"class {i}" for i in range(2, 10))]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = build_localizer(plain(load_config("cam/cam_small_creatures.py").model))
    path = tmp_path_factory.mktemp("trained") / "last.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {"classes": CLASSES}}, path)
    return path


@pytest.fixture
def config():
    return load_config("cam/cam_small_creatures.py")


def photo(path, size=(30, 40), channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(sum(map(ord, path.name)))
    shape = (*size, 3) if channels == 3 else size
    path.write_bytes(
        cv2.imencode(path.suffix, generator.integers(256, size=shape, dtype=np.uint8))[1].tobytes()
    )
    return path


def test_photos_of_all_sizes_get_boxes_in_their_own_pixels(tmp_path, config, checkpoint):
    sizes = {"a/1.png": (30, 40), "b/1.png": (64, 20), "b/2.jpg": (30, 40), "3.bmp": (17, 90)}
    for name, size in sizes.items():
        photo(tmp_path / "in" / name, size, channels=1 if name == "3.bmp" else 3)
    out = tmp_path / "out"
    run = localize(PhotoLocalizer(config, checkpoint), [tmp_path / "in"], out)
    assert run.failed == []
    content = json.loads((out / "boxes.json").read_text(encoding="utf-8"))
    assert content["images"] == run.records
    found = {record["image"]: record for record in run.records}
    assert set(found) == {str(tmp_path / "in" / name) for name in sizes}
    with (out / "boxes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(p["boxes"]) for r in run.records for p in r["predictions"])
    for name, (height, width) in sizes.items():
        record = found[str(tmp_path / "in" / name)]
        assert (record["height"], record["width"]) == (height, width)
        (prediction,) = record["predictions"]
        assert prediction["class"] == CLASSES[prediction["class_id"]]
        for box in prediction["boxes"]:
            x0, y0, x1, y1 = box["xyxy"]
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
        pictures = list((out / "overlays").glob(f"{name}.*.png"))
        assert len(pictures) == 1
        assert max(cv2.imread(str(pictures[0])).shape) == 320


def test_a_batch_answers_as_single_photos_do(tmp_path, config, checkpoint):
    paths = [photo(tmp_path / f"{i}.png", (24 + 8 * (i % 2), 32)) for i in range(18)]
    localizer = PhotoLocalizer(config, checkpoint)
    together = localize(localizer, paths, tmp_path / "a", overlays=False).records
    alone = [localize(localizer, [p], tmp_path / "b", overlays=False).records[0] for p in paths]
    by_path = {record["image"]: record for record in together}
    assert [by_path[str(p)]["predictions"][0]["class_id"] for p in paths] == [
        record["predictions"][0]["class_id"] for record in alone
    ]
    assert [record["image"] for record in together] == [str(p) for p in paths]
    assert not (tmp_path / "a" / "overlays").exists()


def test_photos_that_cannot_be_used_are_told_and_the_rest_is_done(tmp_path, config, checkpoint):
    good = [photo(tmp_path / "in" / name) for name in ("a.png", "z.png")]
    tiny = photo(tmp_path / "in" / "tiny.png", (3, 2))
    broken = tmp_path / "in" / "broken.jpg"
    broken.write_bytes(b"no image")
    run = localize(PhotoLocalizer(config, checkpoint), [tmp_path / "in"], tmp_path / "out")
    assert [record["image"] for record in run.records] == [str(path) for path in good]
    failed = {failure["image"]: failure["error"] for failure in run.failed}
    assert set(failed) == {str(broken), str(tiny)}
    assert "too small" in failed[str(tiny)]
    assert all(image in error for image, error in failed.items())


def test_top_classes_come_best_first(tmp_path, config, checkpoint):
    localizer = PhotoLocalizer(config, checkpoint, top=3)
    (record,) = localize(localizer, [photo(tmp_path / "a.png")], tmp_path / "out").records
    scores = [prediction["class_score"] for prediction in record["predictions"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    greedy = PhotoLocalizer(config, checkpoint, top=99)
    assert sorted(greedy.model.class_query(None, torch.rand(10))) == list(range(10))


def test_classes_may_be_chosen_by_name(tmp_path, config, checkpoint):
    localizer = PhotoLocalizer(config, checkpoint, classes=["class 4", "Waldkauz <ä>"])
    out = tmp_path / "out"
    (record,) = localize(localizer, [photo(tmp_path / "a.png")], out).records
    assert [prediction["class_id"] for prediction in record["predictions"]] == [4, 1]
    names = {path.name for path in (out / "overlays").iterdir()}
    assert names == {"a.png.4_class_4.png", "a.png.1_Waldkauz__ä_.png"}


def test_unknown_classes_have_near_names(config, checkpoint):
    with pytest.raises(ConfigError, match="unknown class 'Owl'") as caught:
        PhotoLocalizer(config, checkpoint, classes=["Owl"])
    assert "did you mean 'owl'?" in str(caught.value)


def test_top_must_be_positive(config, checkpoint):
    with pytest.raises(ConfigError, match="--top is 0"):
        PhotoLocalizer(config, checkpoint, top=0)


def test_another_models_checkpoint_is_refused(config, checkpoint):
    config.model.head.num_classes = 9
    with pytest.raises(CheckpointError, match="of another model"):
        PhotoLocalizer(config, checkpoint)


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path, config, checkpoint):
    (tmp_path / "file").write_text("")
    localizer = PhotoLocalizer(config, checkpoint)
    localizer.model = None  # nothing may be predicted
    with pytest.raises(WorkDirError) as caught:
        localize(localizer, [photo(tmp_path / "a.png")], tmp_path / "file")
    assert "--out" in caught.value.hint


def tables_of(out):
    """The boxes of ``boxes.json``, and the rows of ``boxes.csv``."""
    images = json.loads((out / "boxes.json").read_text(encoding="utf-8"))["images"]
    with (out / "boxes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [box for image in images for p in image["predictions"] for box in p["boxes"]], rows


def test_a_threshold_that_the_extractor_chose_stands_last(
    tmp_path, config, checkpoint, mean_boxes, monkeypatch
):
    localizer = PhotoLocalizer(config, checkpoint)
    monkeypatch.setattr(localizer.model, "boxes", mean_boxes)
    photos = [photo(tmp_path / f"{name}.png") for name in "ab"]
    means = [p.map(p.class_ids[0]).mean() for _, _, p in localizer.predict(photos, None)]
    localize(localizer, photos, tmp_path / "out")
    boxes, rows = tables_of(tmp_path / "out")
    assert [list(box) for box in boxes] == [["xyxy", "score", "threshold"]] * 2
    assert [box["threshold"] for box in boxes] == pytest.approx(means, abs=1e-6)
    assert means[0] != means[1]
    assert list(rows[0])[-2:] == ["box_score", "threshold"]
    assert [float(row["threshold"]) for row in rows] == [box["threshold"] for box in boxes]


def test_a_fixed_threshold_is_not_repeated_for_every_box(tmp_path, config, checkpoint):
    localize(PhotoLocalizer(config, checkpoint), [photo(tmp_path / "a.png")], tmp_path / "out")
    boxes, rows = tables_of(tmp_path / "out")
    assert [list(box) for box in boxes] == [["xyxy", "score"]]
    columns = ["image", "class", "class_score", "x0", "y0", "x1", "y1", "box_score"]
    assert list(rows[0]) == columns
