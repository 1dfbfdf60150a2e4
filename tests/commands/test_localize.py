"""``wsoltool localize``: good photos give boxes, bad ones are named, nothing is overwritten."""

import csv
import json
import os
import sys

import cv2
import numpy as np
import pytest
import torch

from wsoltool.cli import main
from wsoltool.config import load_config
from wsoltool.datasets.images import read_image
from wsoltool.engine.localization import LocalizationRun, PhotoLocalizer, find_photos
from wsoltool.errors import DataError

CONFIG = "cam/cam_small_creatures.py"
EXIF_TURN = 6  # stored lying on its side; viewers turn it by 90 degrees clockwise


@pytest.fixture
def localize(wsoltool, trained, tmp_path):
    """Localize with the trained checkpoint; the outcome, and what ``boxes.json`` holds."""

    def run(*arguments, out="out"):
        outcome = wsoltool(
            "localize", CONFIG, trained / "last.pth", "--out", tmp_path / out, *arguments
        )
        path = tmp_path / out / "boxes.json"
        return outcome, json.loads(path.read_text("utf-8")) if path.exists() else None

    return run


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def picture(height, width, channels=3, seed=0):
    size = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def write(path, image, *flags):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(path.suffix, image, *flags)[1]
    path.write_bytes(data.tobytes())
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF header whose one entry, 0x0112, is the orientation."""
    entry = (0x0112).to_bytes(2, "big") + (3).to_bytes(2, "big") + (1).to_bytes(4, "big")
    tiff = b"MM\x00*" + (8).to_bytes(4, "big") + (1).to_bytes(2, "big") + entry
    tiff += orientation.to_bytes(2, "big") + bytes(2) + bytes(4)
    payload = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload + jpeg[2:]


def check_boxes(record, width, height):
    assert (record["width"], record["height"]) == (width, height)
    boxes = [box for found in record["predictions"] for box in found["boxes"]]
    assert boxes
    for box in boxes:
        x0, y0, x1, y1 = box["xyxy"]
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert 0 <= box["score"] <= 1


def test_boxes_tables_and_overlays_of_good_photos(localize, photos, tmp_path, trained):
    for name in ("a.jpg", "b.png"):
        write(photos / name, picture(60, 80, seed=len(name)))
    outcome, content = localize(photos)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"2 boxes in 2 images: {tmp_path / 'out' / 'boxes.json'}" in outcome.out
    assert content.keys() == {"images", "failed"}
    assert content["failed"] == []
    assert [r["image"] for r in content["images"]] == [str(photos / n) for n in ("a.jpg", "b.png")]
    classes = torch.load(trained / "last.pth", weights_only=True)["meta"]["classes"]
    for record in content["images"]:
        assert record.keys() == {"image", "width", "height", "predictions"}
        (found,) = record["predictions"]
        assert found.keys() == {"class", "class_id", "class_score", "boxes"}
        assert found["class"] == classes[found["class_id"]]
        assert 0 < found["class_score"] <= 1
        check_boxes(record, 80, 60)
    overlays = sorted((tmp_path / "out" / "overlays").iterdir())
    assert [path.name.split(".")[:2] for path in overlays] == [["a", "jpg"], ["b", "png"]]
    assert all(cv2.imread(str(path)).shape[:2] == (240, 320) for path in overlays)


def test_the_csv_file_has_the_same_boxes(localize, photos, tmp_path):
    write(photos / "a, b.jpg", picture(60, 80))
    _, content = localize(photos, "--top", 3)
    with (tmp_path / "out" / "boxes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    (record,) = content["images"]
    expected = [
        {
            "image": str(photos / "a, b.jpg"),
            "class": found["class"],
            "class_score": str(found["class_score"]),
            **dict(zip(("x0", "y0", "x1", "y1"), map(str, box["xyxy"]), strict=True)),
            "box_score": str(box["score"]),
        }
        for found in record["predictions"]
        for box in found["boxes"]
    ]
    assert rows == expected
    assert len({row["class"] for row in rows}) == 3


def test_bad_photos_are_named_and_skipped_and_good_ones_localized(localize, photos):
    good = write(photos / "good.jpg", picture(50, 50))
    whole = good.read_bytes()
    bad = {
        "empty.jpg": (b"", "empty (0 bytes)"),
        "text.jpg": (b"hello", "damaged or of an unsupported kind"),
        "cut.jpg": (whole[: len(whole) // 2], "truncated"),
    }
    for name, (data, _) in bad.items():
        (photos / name).write_bytes(data)
    outcome, content = localize(photos, photos / "lost.jpg")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert "1 boxes in 1 images" in outcome.out
    assert [record["image"] for record in content["images"]] == [str(good)]
    expected = {str(photos / name): message for name, (_, message) in bad.items()}
    expected[str(photos / "lost.jpg")] = "does not exist"
    failed = {failure["image"]: failure["error"] for failure in content["failed"]}
    assert failed.keys() == expected.keys()
    for path, message in expected.items():
        assert message in failed[path]
        assert f"at: {path}" in failed[path]
        assert path in outcome.err
    assert outcome.err.count("skipped: ") == 4


def test_only_bad_photos_leave_empty_tables(localize, photos, tmp_path):
    (photos / "empty.jpg").write_bytes(b"")
    outcome, content = localize(photos)
    assert outcome.code == 1
    assert content["images"] == []
    assert (tmp_path / "out" / "boxes.csv").read_text().startswith("image,class,class_score,x0,")


@pytest.mark.parametrize(("height", "width"), [(40, 500), (500, 40), (8, 8), (5, 300), (33, 47)])
def test_photos_of_odd_sizes(localize, photos, height, width):
    write(photos / "odd.png", picture(height, width))
    outcome, content = localize(photos)
    assert outcome.code == 0, outcome
    check_boxes(content["images"][0], width, height)


def test_a_photo_too_small_for_the_network_does_not_take_the_others(localize, photos):
    for name, size in (("a.png", (40, 40)), ("b.png", (1, 300)), ("c.png", (40, 30))):
        write(photos / name, picture(*size))
    outcome, content = localize(photos)
    assert outcome.code == 1
    assert [record["image"][-5:] for record in content["images"]] == ["a.png", "c.png"]
    (failure,) = content["failed"]
    assert failure["image"] == str(photos / "b.png")
    assert "1 x 300 pixels are too small" in failure["error"]


def test_a_thin_photo_is_localized_where_the_pipeline_enlarges_it(localize, photos):
    write(photos / "thin.png", picture(1, 300))
    pipeline = "test_dataloader.dataset.pipeline=[{'type': 'Resize', 'size': (32, 32)}]"
    outcome, content = localize(photos, "--cfg-options", pipeline)
    assert outcome.code == 0, outcome
    check_boxes(content["images"][0], 300, 1)


@pytest.mark.parametrize("kind", ["grey", "deep", "alpha"])
def test_grey_deep_and_transparent_photos(localize, photos, kind):
    image = picture(40, 50, {"grey": 1, "deep": 3, "alpha": 4}[kind])
    write(photos / "x.png", image.astype(np.uint16) * 257 if kind == "deep" else image)
    outcome, content = localize(photos)
    assert outcome.code == 0, outcome
    check_boxes(content["images"][0], 50, 40)


def test_cmyk_photos(localize, photos):
    pillow = pytest.importorskip("PIL.Image", reason="Pillow writes CMYK, and is not installed")
    pillow.fromarray(picture(40, 50)).convert("CMYK").save(photos / "x.jpg")
    outcome, content = localize(photos)
    assert outcome.code == 0, outcome
    check_boxes(content["images"][0], 50, 40)


def test_boxes_of_a_turned_photo_are_those_that_people_see(localize, photos):
    lying = write(photos / "lying.jpg", picture(40, 60), [cv2.IMWRITE_JPEG_QUALITY, 95])
    turned = photos / "turned.jpg"
    turned.write_bytes(with_orientation(lying.read_bytes(), EXIF_TURN))
    write(photos / "upright.png", read_image(turned)[..., ::-1])
    _, content = localize(photos)
    records = {record["image"].rpartition("/")[2]: record for record in content["images"]}
    check_boxes(records["lying.jpg"], 60, 40)
    check_boxes(records["turned.jpg"], 40, 60)
    assert records["turned.jpg"]["predictions"] == records["upright.png"]["predictions"]


def test_the_boxes_are_those_of_the_map(photos, trained):
    """The box of the demo's extractor, recomputed from the map by hand."""
    path = write(photos / "x.png", picture(48, 64))
    localizer = PhotoLocalizer(load_config(CONFIG), trained / "last.pth")
    ((_, image, prediction),) = localizer.predict([path], LocalizationRun())
    (class_id,) = prediction.class_ids
    assert image.shape == (48, 64, 3)
    values = prediction.map(class_id)
    (found,) = localizer.record(path, prediction)["predictions"]
    mask = (values >= 0.2).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    x, y, width, height, _ = max(stats[1:], key=lambda row: row[4])
    assert found["boxes"][0]["xyxy"] == [x, y, x + width, y + height]


def test_top_asks_for_the_best_classes_in_order(localize, photos):
    write(photos / "x.png", picture(40, 40))
    for count, expected in ((1, 1), (4, 4), (99, 10)):
        found = localize(photos, "--top", count)[1]["images"][0]["predictions"]
        scores = [prediction["class_score"] for prediction in found]
        assert len(found) == expected
        assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("top", [0, -1, "all"])
def test_top_must_be_positive(localize, photos, top):
    outcome, content = localize(photos, "--top", top)
    assert outcome.code == 2
    assert f"argument --top: '{top}' is no number above 0" in outcome.err
    assert content is None


def test_classes_are_localized_whatever_is_predicted(localize, photos, trained):
    classes = torch.load(trained / "last.pth", weights_only=True)["meta"]["classes"]
    write(photos / "x.png", picture(40, 40))
    asked = [classes[7], classes[2], classes[7]]
    (record,) = localize(photos, "--classes", *asked)[1]["images"]
    assert [found["class"] for found in record["predictions"]] == [classes[7], classes[2]]


def test_an_unknown_class_has_a_near_name(localize, photos, trained):
    classes = torch.load(trained / "last.pth", weights_only=True)["meta"]["classes"]
    outcome, _ = localize(photos, "--classes", classes[0] + "x")
    assert outcome.code == 1
    assert f"unknown class '{classes[0]}x'" in outcome.err
    assert f"did you mean '{classes[0]}'?" in outcome.err


def test_equal_names_in_two_folders_have_their_own_overlays(localize, photos, tmp_path):
    for index, name in enumerate(("a/x.png", "b/x.png", "a/x.jpg")):
        write(photos / name, picture(40, 40, seed=index))
    _, content = localize(photos / "a", photos / "b" / "x.png")
    assert len(content["images"]) == 3
    overlays = [p for p in (tmp_path / "out" / "overlays").rglob("*.png") if p.is_file()]
    assert len(overlays) == 3
    assert len({path.read_bytes() for path in overlays}) == 3


def test_classes_that_differ_in_signs_alone_have_their_own_overlays(localize, photos, trained):
    content = torch.load(trained / "last.pth", weights_only=True)
    content["meta"]["classes"][:3] = ["a b", "a/b", "a" * 300]
    torch.save(content, trained / "signs.pth")
    write(photos / "x.png", picture(40, 40))
    outcome, content = localize(photos, "--classes", "a b", "a/b", "a" * 300)
    assert outcome.code == 1  # the unsigned checkpoint does not know them
    arguments = ["localize", CONFIG, str(trained / "signs.pth"), str(photos), "--classes"]
    out = photos.parent / "signs"
    assert main([*arguments, "a b", "a/b", "a" * 300, "--out", str(out)]) == 0
    assert len(list((out / "overlays").iterdir())) == 3


def test_names_that_are_not_ascii(localize, photos, tmp_path):
    path = write(photos / "höhle" / "猫 №1.png", picture(40, 40))
    outcome, content = localize(photos)
    assert outcome.code == 0, outcome
    assert content["images"][0]["image"] == str(path)
    assert "猫 №1.png" in (tmp_path / "out" / "boxes.csv").read_text("utf-8")
    (overlay,) = (tmp_path / "out" / "overlays").rglob("*.png")
    assert overlay.name.startswith("猫 №1.png.")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are not bytes here")
def test_names_that_are_not_text(localize, photos):
    path = write(photos / os.fsdecode(b"\xff.png"), picture(40, 40))
    outcome, content = localize(photos)
    assert outcome.code == 0, outcome
    assert content["images"][0]["image"] == str(path)


def test_earlier_results_hidden_files_and_folders_are_no_photos(localize, photos):
    write(photos / "x.png", picture(40, 40))
    write(photos / ".thumbnails" / "x.png", picture(40, 40))
    write(photos / "._x.png", picture(40, 40))
    (photos / "folder.png").mkdir()
    for _ in range(2):
        outcome, content = localize(photos, out="photos/results")
        assert outcome.code == 0, outcome
        assert [record["image"] for record in content["images"]] == [str(photos / "x.png")]


def test_a_photo_named_twice_is_localized_once(localize, photos, monkeypatch):
    write(photos / "x.png", picture(40, 40))
    monkeypatch.chdir(photos)
    _, content = localize("x.png", photos / "x.png", "../photos", photos)
    assert [record["image"] for record in content["images"]] == ["x.png"]


def test_an_empty_folder_is_named_beside_photos(localize, photos, tmp_path):
    write(photos / "x.png", picture(40, 40))
    (tmp_path / "nothing").mkdir()
    outcome, content = localize(tmp_path / "nothing", photos)
    assert outcome.code == 1
    assert len(content["images"]) == 1
    assert str(tmp_path / "nothing") in outcome.err
    assert "no image in the folder" in outcome.err


def test_no_photo_at_all_is_an_error(localize, photos):
    outcome, content = localize(photos)
    assert outcome.code == 1
    assert outcome.err.startswith("error: no image found")
    assert str(photos) in outcome.err
    assert content is None
    with pytest.raises(DataError):
        find_photos([photos], LocalizationRun(), photos / "out")


def test_results_that_cannot_be_written_are_refused_first(localize, photos, tmp_path, monkeypatch):
    write(photos / "x.png", picture(40, 40))
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(PhotoLocalizer, "predict", None)
    outcome, _ = localize(photos, out="file/out")
    assert outcome.code == 1
    assert "cannot be written" in outcome.err
    assert "--out" in outcome.err


def test_an_interruption_leaves_what_is_done(localize, photos, monkeypatch):
    for name in ("a.png", "b.png"):
        write(photos / name, picture(40, 40))
    whole = PhotoLocalizer.predict

    def predict(self, paths, run):
        for count, answer in enumerate(whole(self, paths, run)):
            if count:
                raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr(PhotoLocalizer, "predict", predict)
    outcome, content = localize(photos)
    assert (outcome.code, outcome.err) == (130, "stopped\n")
    assert [record["image"] for record in content["images"]] == [str(photos / "a.png")]


def test_without_overlays_only_tables_are_written(localize, photos, tmp_path):
    write(photos / "x.png", picture(40, 40))
    localize(photos, "--no-overlays")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"boxes.json", "boxes.csv"}


def test_more_photos_than_a_batch_are_answered_in_order(localize, photos):
    for index in range(19):
        write(photos / f"{index:02}.png", picture(16 + index % 2, 16, seed=index))
    (photos / "07.png").write_bytes(b"")
    _, content = localize(photos, "--no-overlays")
    names = [record["image"][-6:-4] for record in content["images"]]
    assert names == [f"{index:02}" for index in range(19) if index != 7]
    assert [r["height"] for r in content["images"]] == [16 + int(name) % 2 for name in names]


def test_photos_need_no_data_set(localize, photos):
    write(photos / "x.png", picture(40, 40))
    reader = "{'type': 'WsolMetadata'}"
    gone = f"test_dataloader.dataset={{'type': 'Images', 'reader': {reader}, 'split': 'test'}}"
    outcome, content = localize(photos, "--cfg-options", gone, "data_root=/gone")
    assert outcome.code == 0, outcome
    assert len(content["images"]) == 1


def test_a_checkpoint_with_too_few_names_is_refused(refused, trained, photos):
    content = torch.load(trained / "last.pth", weights_only=True)
    content["meta"]["classes"] = ["one"]
    torch.save(content, trained / "few.pth")
    write(photos / "x.png", picture(40, 40))
    out = photos.parent / "out"
    message = refused("localize", CONFIG, trained / "few.pth", photos, "--out", out)
    assert "names 1 classes, its model has 10" in message
