"""Pictures on disk, a page that names them, nothing of the data read as HTML."""

from html.parser import HTMLParser
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from wsoltool.datasets.creatures import Creatures
from wsoltool.engine.pictures import gallery_items
from wsoltool.errors import WorkDirError
from wsoltool.functional.boxes import box_iou
from wsoltool.models.builder import build_localizer
from wsoltool.visualization.gallery import GalleryItem, draw_item, write_gallery
from wsoltool.visualization.overlay import PART_COLOR, PREDICTED_COLOR, TRUTH_COLOR


def item(name="a.jpg", caption="a", correct=None, size=(224, 224), **boxes):
    none = np.zeros((0, 4))
    return GalleryItem(
        name=name,
        image=np.zeros((*size, 3), np.uint8),
        localization_map=np.zeros(size, np.float32),
        caption=caption,
        correct=correct,
        **{"predicted": none, "truth": none, "parts": none, **boxes},
    )


class Page(HTMLParser):
    """Tags with their attributes, and the page's text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data.strip())

    def all(self, tag, attribute):
        return [attributes[attribute] for name, attributes in self.tags if name == tag]


def test_a_page_shows_every_picture(tmp_path):
    items = [item("birds/1.jpg"), item("birds/2.jpg"), item("2.png")]
    index = write_gallery(tmp_path / "new" / "gallery", items, "Owls", {"MaxBoxAccV2": "61.3"})
    assert index == tmp_path / "new" / "gallery" / "index.html"
    page = Page(index)
    names = ["pictures/birds/1.jpg.png", "pictures/birds/2.jpg.png", "pictures/2.png.png"]
    assert page.all("img", "src") == page.all("a", "href") == names
    for name in names:
        assert cv2.imread(str(index.parent / name)).shape == (224, 3 * 224 + 2 * 4, 3)
    assert page.text.count("Owls") == 2
    assert "61.3" in page.text


def test_hits_misses_and_unknown_are_told_apart(tmp_path):
    items = [item("1", correct=True), item("2", correct=False), item("3", correct=None)]
    page = Page(write_gallery(tmp_path, items, "t", {}))
    assert page.all("figure", "class") == ["hit", "miss", ""]
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert f"figure.hit {{ border-left-color: rgb{TRUTH_COLOR}" in text
    assert f"figure.miss {{ border-left-color: rgb{PREDICTED_COLOR}" in text


def test_class_names_are_text_and_never_html(tmp_path):
    evil = "<script>alert('x')</script> \"Tom & Jerry\" ' onload='"
    index = write_gallery(tmp_path, [item(caption=evil)], evil, {evil: evil})
    page = Page(index)
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags
    assert evil in page.text
    assert page.all("img", "alt") == [evil]
    assert set(dict(page.tags)["img"]) == {"src", "alt", "loading"}


@pytest.mark.parametrize("name", ["a b#1?.jpg", "100%.jpg", "ärger/öl & \"gas\" 'x'.jpg"])
def test_links_lead_to_their_files_whatever_the_name(tmp_path, name):
    (link,) = Page(write_gallery(tmp_path, [item(name)], "t", {})).all("img", "src")
    assert not set(link) & set(" #?&\"'")
    assert (tmp_path / unquote(link)).is_file()


@pytest.mark.parametrize("name", ["../../out.jpg", "/abs/out.jpg", "a/../../../../out.jpg"])
def test_pictures_stay_in_their_folder(tmp_path, name):
    folder = tmp_path / "deep" / "gallery"
    write_gallery(folder, [item(name)], "t", {})
    found = list(tmp_path.rglob("*.png"))
    assert len(found) == 1
    assert found[0].is_relative_to(folder / "pictures")


def test_ids_that_differ_after_the_last_dot_are_different_pictures(tmp_path):
    write_gallery(tmp_path, [item("v1.0/a"), item("v1.0/b"), item("c.jpg"), item("c.png")], "t", {})
    assert len(list(tmp_path.rglob("*.png"))) == 4


def test_an_empty_gallery_is_a_page(tmp_path):
    page = Page(write_gallery(tmp_path / "x", [], "nothing", {}))
    assert "nothing" in page.text
    assert page.all("img", "src") == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkDirError, match="cannot be written"):
        write_gallery(tmp_path / "file" / "x", [], "t", {})


def test_boxes_are_drawn_over_the_third_picture_in_their_colours():
    found = {
        "parts": np.array([[10, 10, 20, 20]]),
        "truth": np.array([[5, 5, 60, 70]]),
        "predicted": np.array([[30, 40, 90, 95]]),
    }
    picture = draw_item(item(size=(112, 112), **found))
    assert picture.shape == (224, 3 * 224 + 8, 3)
    left = 2 * (224 + 4)
    assert not picture[:, :224].any()
    for box, color in zip(found.values(), (PART_COLOR, TRUTH_COLOR, PREDICTED_COLOR), strict=True):
        x0, y0, x1, y1 = 2 * box[0]
        assert tuple(picture[y0, left + x0]) == color
        assert tuple(picture[y1 - 1, left + x1 - 1]) == color
        assert tuple(picture[y1, left + x1]) == (0, 0, 0)


@pytest.fixture(scope="module")
def creatures():
    return Creatures(split="test", length=7, image_size=32)


@pytest.fixture(scope="module")
def model():
    backbone = {"type": "SmallNet", "channels": (4, 4)}
    head = {"type": "cam.CAMHead", "num_classes": 10}
    return build_localizer({"backbone": backbone, "head": head})


def test_items_are_spread_over_the_split(creatures, model):
    model.train()
    names = [i.name for i in gallery_items(model, creatures, 3)]
    assert names == [creatures.image_ids[index] for index in (0, 3, 6)]
    assert not model.training
    assert len(list(gallery_items(model, creatures, 99))) == 7


def test_items_tell_the_labelled_class_truth_and_overlap(creatures, model):
    shown = next(gallery_items(model, creatures, 1))
    truth = creatures.truth(0)
    assert np.array_equal(shown.image, creatures.load(0))
    assert np.array_equal(shown.truth, truth.boxes)
    assert np.array_equal(shown.parts, truth.part_boxes)
    assert shown.localization_map.shape == (32, 32)
    assert creatures.classes[creatures.label(0)] in shown.caption
    overlap = box_iou(shown.predicted[:1], truth.boxes).max()
    assert shown.caption.endswith(f"IoU {overlap:.2f}")
    assert shown.correct is bool(overlap >= 0.5)


def test_of_several_classes_the_first_is_shown_with_its_own_boxes(model):
    several = Creatures("test", length=12, image_size=64, instances=3, multi_label=True)
    for index, shown in enumerate(gallery_items(model, several, 12)):
        truth = several.truth(index)
        first = int(np.flatnonzero(several.label(index))[0])
        assert np.array_equal(shown.truth, truth.boxes[truth.labels == first])
        verdict = shown.caption.partition(": ")[2]
        assert verdict.startswith(several.classes[first])
        named = verdict.partition("predicted ")[2].partition(",")[0]
        assert named not in [several.classes[c] for c in truth.labels], "a label is no mistake"


def test_without_boxes_nothing_is_claimed(model):
    weak = Creatures(split="train-weaksup", length=2, image_size=32)
    shown = next(gallery_items(model, weak, 1))
    assert shown.correct is None
    assert len(shown.truth) == len(shown.parts) == 0
    assert "IoU" not in shown.caption
