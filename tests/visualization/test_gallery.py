"""Pictures on disk, a page that names them, nothing of the data read as HTML."""

from html.parser import HTMLParser
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
import torch

from wsoltool.datasets.creatures import Creatures
from wsoltool.engine.pictures import gallery_items
from wsoltool.errors import WorkDirError
from wsoltool.functional.boxes import box_iou
from wsoltool.models.builder import build_localizer
from wsoltool.models.contracts import BoxExtractor, MaskEraser
from wsoltool.models.insertion import Inserts
from wsoltool.structures import Boxes, Erasure, Hiding
from wsoltool.transforms.crop import CenterCrop
from wsoltool.transforms.flip import RandomFlip
from wsoltool.visualization.erasures import draw_erasure
from wsoltool.visualization.gallery import GalleryItem, draw_item, write_gallery
from wsoltool.visualization.overlay import PART_COLOR, PREDICTED_COLOR, TRUTH_COLOR, enlarge
from wsoltool.visualization.parts import draw_parts, part_colors

HEAD = {"type": "cam.CAMHead", "num_classes": 10}


def item(
    name="a.jpg", caption="a", correct=None, size=(224, 224), part_maps=None, erasures=(), **boxes
):
    none = np.zeros((0, 4))
    return GalleryItem(
        name=name,
        image=np.zeros((*size, 3), np.uint8),
        localization_map=np.zeros(size, np.float32),
        caption=caption,
        correct=correct,
        part_maps=part_maps,
        erasures=dict(erasures),
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


def test_parts_stand_in_a_fourth_picture_and_leave_the_others_alone():
    part_maps = np.linspace(0, 1, 2 * 112 * 112, dtype=np.float32).reshape(2, 112, 112)
    box = {"truth": np.array([[5, 5, 60, 70]])}
    without = draw_item(item(size=(112, 112), **box))
    picture = draw_item(item(size=(112, 112), part_maps=part_maps, **box))
    assert without.shape == (224, 3 * 224 + 2 * 4, 3)
    assert picture.shape == (224, 4 * 224 + 3 * 4, 3)
    assert np.array_equal(picture[:, : without.shape[1]], without)
    black = np.zeros((224, 224, 3), np.uint8)
    assert np.array_equal(picture[:, -224:], draw_parts(black, part_maps))


def legend(path):
    text = path.read_text(encoding="utf-8")
    return text.partition("Each part from its own weakest")[2].partition("</p>")[0]


def test_the_page_tells_the_parts_colours(tmp_path):
    maps = np.ones((3, 224, 224), np.float32)
    # Images without parts, or with fewer, stand beside others.
    items = [item("1"), item("2", part_maps=maps), item("3", part_maps=maps[:1])]
    index = write_gallery(tmp_path, items, "t", {})
    shown = legend(index)
    assert [f"background:rgb{color}" in shown for color in part_colors(4)] == [True] * 3 + [False]
    assert [shown.count(f"</span>{number}") for number in range(5)] == [0, 1, 1, 1, 0]
    assert "boxes, parts." in index.read_text(encoding="utf-8")


def test_a_page_without_parts_does_not_speak_of_them(tmp_path):
    text = write_gallery(tmp_path, [item("1")], "t", {}).read_text(encoding="utf-8")
    assert "parts" not in text
    assert "Each part" not in text
    assert "minmax(min(440px, 100%), 1fr)" in text


def erasure(case="hidden", meaning="the peak is hidden"):
    kept = np.ones((224, 224), np.float32)
    kept[100:120, 50:90] = 0
    return Erasure(kept, 0.016, np.linspace(0, 1, 224 * 224).reshape(224, 224), case, meaning)


def test_each_eraser_has_a_tile_and_leaves_the_others_alone():
    maps = np.linspace(0, 1, 224 * 224, dtype=np.float32).reshape(1, 224, 224)
    box = {"truth": np.array([[5, 5, 60, 70]]), "part_maps": maps}
    without = draw_item(item(**box))
    erasures = {"early": erasure(), "late": erasure("passed")}
    picture = draw_item(item(erasures=erasures, **box))
    assert picture.shape == (224, 6 * 224 + 5 * 4, 3)
    assert np.array_equal(picture[:, : without.shape[1]], without)
    black = np.zeros((224, 224, 3), np.uint8)
    for index, (name, own) in enumerate(erasures.items()):
        left = (4 + index) * 228
        assert np.array_equal(picture[:, left : left + 224], draw_erasure(black, name, own))


def test_the_page_tells_what_is_hidden_and_what_the_cases_mean(tmp_path):
    none = erasure(case=None, meaning="")
    items = [
        item("1"),
        item("2", erasures={"early": erasure("passed", "small"), "late": erasure(), "x": none}),
        item("3", erasures={"early": erasure(), "late": erasure("odd", ""), "x": none}),
    ]
    text = write_gallery(tmp_path, items, "t", {}).read_text(encoding="utf-8")
    assert "boxes, erasers." in text
    assert "dark, hatched and outlined is hidden" in text
    shown = [line.strip() for line in text.splitlines()]
    assert "<br><b>passed</b>: small" in shown
    assert "<br><b>hidden</b>: the peak is hidden" in shown
    assert "<br><b>odd</b>" in shown
    assert "<br>early: 1 passed, 1 hidden of the images below" in shown
    assert "<br>late: 1 hidden, 1 odd" in shown
    # Six tiles take twice the room of three.
    assert "minmax(min(860px, 100%), 1fr)" in text


def test_a_page_without_erasers_does_not_speak_of_them(tmp_path):
    text = write_gallery(tmp_path, [item("1")], "t", {}).read_text(encoding="utf-8")
    assert "eraser" not in text
    assert "minmax(min(440px, 100%), 1fr)" in text
    parts = np.ones((1, 224, 224), np.float32)
    text = write_gallery(tmp_path, [item("1", part_maps=parts)], "t", {}).read_text("utf-8")
    assert "minmax(min(580px, 100%), 1fr)" in text


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


@pytest.fixture
def model():
    backbone = {"type": "SmallNet", "channels": (4, 4)}
    return build_localizer({"backbone": backbone, "head": HEAD})


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


class NoBoxes(BoxExtractor):
    """Chooses thresholds, but never finds anything above them."""

    def __call__(self, localization_map, context):
        none = np.zeros(0, np.float32)
        return Boxes(np.zeros((0, 4), np.float32), none, none)


def test_items_tell_the_threshold_that_was_chosen_for_them(
    creatures, model, mean_boxes, monkeypatch
):
    monkeypatch.setattr(model, "boxes", mean_boxes)
    shown = next(gallery_items(model, creatures, 1))
    mean = shown.localization_map.mean()
    overlap = box_iou(shown.predicted[:1], shown.truth).max()
    assert shown.caption.endswith(f"IoU {overlap:.2f}, threshold {mean:.2f}")
    monkeypatch.setattr(model, "boxes", NoBoxes())
    assert next(gallery_items(model, creatures, 1)).caption.endswith("IoU 0.00")


def rising(features):
    """One part, stronger from left to right in the network's input."""
    return torch.linspace(0.25, 1, 4).expand(len(features["last"]), 1, 4, 4)


def test_items_show_the_heads_parts(creatures, model, monkeypatch):
    assert next(gallery_items(model, creatures, 1)).part_maps is None
    monkeypatch.setattr(model.head, "part_maps", rising)
    for shown in gallery_items(model, creatures, 2):
        assert not model.for_pictures  # also while the caller draws
        assert shown.part_maps.shape == (1, 32, 32)
        # Cell centres at 4 and 12 pixels: 0.25 from the border to the first, half between.
        assert shown.part_maps[0, 5, [0, 3, 31]].tolist() == [0.25, 0.25, 1]
        assert shown.part_maps[0, 5, [7, 8]].mean() == pytest.approx(0.375)


def test_a_test_that_is_cut_short_leaves_no_switch_behind(creatures, model, monkeypatch):
    def broken(features):
        raise ValueError("no parts")

    monkeypatch.setattr(model.head, "part_maps", broken)
    with pytest.raises(ValueError, match="no parts"):
        next(gallery_items(model, creatures, 1))
    assert not model.for_pictures


def test_parts_of_cropped_and_mirrored_inputs_are_put_back(model, monkeypatch):
    monkeypatch.setattr(model.head, "part_maps", rising)
    turned = (CenterCrop(16), RandomFlip(1.0))
    shown = next(gallery_items(model, Creatures("test", 1, image_size=32, pipeline=turned), 1))
    inside = shown.part_maps[0, 8:24, 8:24]
    assert inside.sum() == shown.part_maps.sum() > 0
    assert (np.diff(inside, axis=1) <= 0).all()
    assert inside[3, [0, -1]].tolist() == [1, 0.25]
    # Outside the picture is the grey image, whatever lies below the weakest part inside.
    image, picture = shown.image, draw_item(shown)[:, -224:]
    grey = cv2.cvtColor(enlarge(image, 224)[0], cv2.COLOR_RGB2GRAY)
    assert np.array_equal(picture[60:164, :50], np.repeat(grey[60:164, :50, None], 3, axis=2))


@pytest.fixture
def hiding():
    """A model whose eraser hides the strongest cell of its input's first channel."""

    class Peak(MaskEraser):
        fails = False
        cases = ("hidden",)
        meanings = {"hidden": "the peak is hidden"}

        def hide(self, features, samples):
            assert not self.fails, "no hiding"
            attention = features[:, 0] - features[:, 0].amin()
            kept = attention < attention.amax(dim=(1, 2), keepdim=True)
            return Hiding(kept, attention, torch.zeros(len(kept), dtype=torch.int64))

    torch.manual_seed(0)
    backbone = {"type": "SmallNet", "channels": (4, 4)}
    model = build_localizer({"backbone": backbone, "head": HEAD})
    model.inserts = Inserts(model.backbone, [("input", lambda *_: Peak())])
    return model


class Marked(Creatures):
    """Black images with a white pixel."""

    def load(self, index):
        image = np.zeros((32, 32, 3), np.uint8)
        image[12, 20] = 255
        return image


@pytest.mark.parametrize("wrapped", [False, True])
def test_items_show_what_erasers_would_hide(hiding, wrapped):
    turned = (CenterCrop(16), RandomFlip(1.0))
    for pipeline in ((), turned):
        dataset = Marked("test", 2, image_size=32, pipeline=pipeline)
        model = torch.nn.DataParallel(hiding) if wrapped else hiding
        for shown in gallery_items(model, dataset, 2):
            (found,) = shown.erasures.values()
            assert list(shown.erasures) == ["input"]
            assert np.argwhere(found.kept == 0).tolist() == [[12, 20]]
            assert np.argwhere(found.attention == 1).tolist() == [[12, 20]]
            assert (found.case, found.meaning) == ("hidden", "the peak is hidden")
            assert found.hidden == pytest.approx(1 / (256 if pipeline else 1024))
            assert draw_item(shown).shape == (224, 4 * 224 + 12, 3)
            assert not hiding.for_pictures
            assert not any(module.training for module in hiding.modules())
            assert hiding.inserts["input"].hiding is None


def test_an_eraser_that_fails_leaves_no_switch_behind(creatures, hiding):
    hiding.inserts["input"].fails = True
    with pytest.raises(AssertionError, match="no hiding"):
        next(gallery_items(hiding, creatures, 1))
    assert not hiding.for_pictures
    assert not any(module.training for module in hiding.modules())


def test_without_mask_erasers_pictures_stay_as_they_are(creatures):
    def items(inserts):
        torch.manual_seed(0)
        backbone = {"type": "SmallNet", "channels": (4, 4)}
        model = build_localizer({"backbone": backbone, "head": HEAD, "inserts": inserts})
        return list(gallery_items(model, creatures, 2))

    blocks = {"type": "DropBlock", "probability": 1.0, "block_size": 3}
    for plain, shown in zip(items(None), items([{"at": "stage2", "module": blocks}]), strict=True):
        assert shown.erasures == plain.erasures == {}
        assert np.array_equal(draw_item(shown), draw_item(plain))


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
