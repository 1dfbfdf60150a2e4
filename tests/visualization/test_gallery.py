"""Pictures on disk, a page that names them, nothing of the data read as HTML."""

from html.parser import HTMLParser
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from wsoltool.errors import WorkDirError
from wsoltool.structures import Erasure
from wsoltool.visualization.branches import draw_branches
from wsoltool.visualization.class_rows import ClassRow
from wsoltool.visualization.erasures import draw_erasure
from wsoltool.visualization.gallery import GalleryItem, draw_item, write_gallery
from wsoltool.visualization.overlay import PART_COLOR, PREDICTED_COLOR, TRUTH_COLOR, blend_map
from wsoltool.visualization.parts import draw_parts, part_colors


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


def test_several_classes_stand_below_each_other(tmp_path):
    box = np.array([[10, 20, 100, 120]])
    values = np.linspace(0, 1, 224 * 224, dtype=np.float32).reshape(224, 224)
    rows = [ClassRow(title, values, box, box + 50) for title in ("cat 0.9", "猫" * 60)]
    alone = draw_item(item(predicted=box, truth=box + 50))
    part_maps = np.zeros((1, 224, 224), np.float32)
    shown = item(part_maps=part_maps)
    shown.rows = rows
    picture = draw_item(shown)
    assert picture.shape == (2 * 224 + 4, 4 * 224 + 3 * 4, 3)
    assert (picture[228:, :224] == 255).all(), "the image is there once"
    assert (picture[224:228] == 255).all()
    assert (picture[228:, 3 * 228 :] == 255).all()
    for top in (0, 228):
        assert np.array_equal(picture[top : top + 224, 456:680], alone[:, 456:])
    shown.rows = rows[:1]
    plain, titled = blend_map(shown.image, values), draw_item(shown)[:, 228:452]
    assert np.array_equal(titled[24:], plain[24:])
    assert (titled[:18] == 255).any(), "letters"
    page = write_gallery(tmp_path, [shown], "t", {})
    assert "A row for each class" in page.read_text()
    assert "A row for each class" not in write_gallery(tmp_path, [item()], "t", {}).read_text()


def branch_maps(*names, size=(224, 224)):
    steps = np.linspace(0, 1, size[0] * size[1], dtype=np.float32).reshape(size)
    return {name: np.roll(steps, 30 * i, axis=0) for i, name in enumerate(names)}


def test_each_branch_has_a_tile_behind_the_boxes_and_leaves_the_others_alone():
    own = {"truth": np.array([[5, 5, 60, 70]]), "erasures": {"early": erasure()}}
    without = draw_item(item(**own))
    shown = item(**own)
    shown.branches = branch_maps("upper", "lower")
    assert shown.branch_names == ("upper", "lower")
    picture = draw_item(shown)
    assert picture.shape == (224, 6 * 224 + 5 * 4, 3)
    assert np.array_equal(picture[:, :680], without[:, :680])
    assert np.array_equal(picture[:, -224:], without[:, -224:])
    for left, branch in zip((684, 912), draw_branches(shown.image, shown.branches), strict=True):
        assert np.array_equal(picture[:, left : left + 224], branch)


def test_each_class_has_its_own_branches():
    none, values = np.zeros((0, 4)), np.zeros((224, 224), np.float32)
    kinds = [("upper", "lower"), (), ("lower", "third", "fourth")]
    shown = item(part_maps=np.zeros((1, 224, 224), np.float32))
    shown.branches = branch_maps("unseen")
    shown.rows = [ClassRow("owl", values, none, none, branch_maps(*names)) for names in kinds]
    assert shown.branch_names == ("upper", "lower", "third", "fourth")
    picture = draw_item(shown)
    # The parts stand behind the first row; the longest row is as long.
    assert picture.shape == (3 * 224 + 2 * 4, 6 * 224 + 5 * 4, 3)
    for row, names in enumerate(kinds):
        line = picture[row * 228 :][:224]
        for column, branch in enumerate(draw_branches(shown.image, branch_maps(*names)), start=3):
            assert np.array_equal(line[:, column * 228 :][:, :224], branch)
    assert (picture[228:452, 680:] == 255).all()
    shown.part_maps = None
    assert draw_item(shown).shape == (3 * 224 + 2 * 4, 6 * 224 + 5 * 4, 3), (
        "the longest is the last"
    )


@pytest.mark.parametrize(("count", "width"), [(2, 720), (5, 1140), (8, 720)])
def test_the_page_names_the_branches_and_gives_them_room(tmp_path, count, width):
    names = [f"<{index}>" for index in range(count)]
    shown, rows = item("2"), item("3")
    shown.branches = branch_maps(*names)
    none, values = np.zeros((0, 4)), np.zeros((224, 224), np.float32)
    rows.rows = [ClassRow("owl", values, none, none, branch_maps(*names[:2]))]
    text = write_gallery(tmp_path, [item("1"), shown, rows], "t", {}).read_text(encoding="utf-8")
    assert "boxes, branches." in text
    listed = ", ".join(f"&lt;{index}&gt;" for index in range(count))
    assert f"Branches ({listed}) are the maps" in text
    assert f"minmax(min({width}px, 100%), 1fr)" in text


def test_a_page_without_branches_does_not_speak_of_them(tmp_path):
    assert "ranch" not in write_gallery(tmp_path, [item()], "t", {}).read_text(encoding="utf-8")


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


def test_parts_stand_in_every_classs_row_and_in_the_legend_where_they_are_drawn(tmp_path):
    boxes = {"parts": np.array([[10, 10, 20, 20]]), "truth": np.array([[5, 5, 60, 70]])}
    alone, shown = item(predicted=boxes["truth"] + 90, **boxes), item(parts=boxes["parts"])
    values = np.zeros((224, 224), np.float32)
    shown.rows = [ClassRow(name, values, boxes["truth"] + 90, boxes["truth"]) for name in "ab"]
    picture, left = draw_item(shown), 2 * (224 + 4)
    for top in (0, 224 + 4):
        assert tuple(picture[top + 10, left + 10]) == PART_COLOR
        assert np.array_equal(picture[top : top + 224, left:], draw_item(alone)[:, left:])
    for one, legend in (
        (item(), ["truth", "predicted"]),
        (alone, ["truth", "predicted", "part"]),
        (shown, ["truth", "predicted", "part"]),
    ):
        text = write_gallery(tmp_path, [one], "t", {}).read_text()
        assert [
            name for name in ("truth", "predicted", "part") if f"</span>{name}" in text
        ] == legend


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
