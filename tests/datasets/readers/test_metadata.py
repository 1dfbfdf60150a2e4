"""wsolevaluation text metadata: what is read, and what is refused with its line."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.metadata_files import read_metadata
from wsoltool.datasets.readers.metadata import WsolMetadata, read_classes
from wsoltool.errors import ConfigError, DataError, ImageError, SupervisionError

GOOD = {
    "image_ids.txt": "a/1.png\nb/2.png\na/3.png",
    "class_labels.txt": "a/1.png,0\nb/2.png,1\na/3.png,0",
    "image_sizes.txt": "a/1.png,30,20\nb/2.png,30,20\na/3.png,40,25",
    "localization.txt": "a/1.png,0,0,30,20\na/3.png,1,2,40,25\nb/2.png,5,6,7,8\na/1.png,2,3,4,5",
}


@pytest.fixture
def root(tmp_path, write_image):
    """A data set with the same three images in all splits."""
    for name, size in {"a/1.png": (20, 30), "b/2.png": (20, 30), "a/3.png": (25, 40)}.items():
        write_image(tmp_path / "images" / name, size)
    for split in ("train-weaksup", "train-fullsup", "test"):
        folder = tmp_path / "metadata" / split
        folder.mkdir(parents=True)
        for name, text in GOOD.items():
            (folder / name).write_text(text)
    return tmp_path


def metadata_set(split, root, **options) -> Images:
    return Images(split, root, WsolMetadata(**options))


def rewrite(root, name, text, split="test"):
    (root / "metadata" / split / name).write_text(text)


def refusal(root, split="test", **options) -> DataError:
    with pytest.raises(DataError) as caught:
        metadata_set(split, str(root), **options)
    return caught.value


def test_reads_images_labels_and_boxes(root):
    dataset = metadata_set("test", str(root))
    assert list(dataset.image_ids) == ["a/1.png", "b/2.png", "a/3.png"]
    assert dataset.classes == ("0", "1")
    assert not dataset.multi_label
    assert [dataset.label(i) for i in range(3)] == [0, 1, 0]
    image, sample = dataset[0]
    assert image.shape == (20, 30, 3)
    assert sample.size == (20, 30)
    assert sample.region == (0, 0, 30, 20)
    np.testing.assert_array_equal(sample.truth.boxes, [[0, 0, 30, 20], [2, 3, 4, 5]])
    np.testing.assert_array_equal(dataset.truth(2).boxes, [[1, 2, 40, 25]])
    assert sample.truth.boxes.dtype == np.float32


def test_inclusive_boxes_gain_a_pixel_but_keep_their_numbers(root):
    rewrite(root, "localization.txt", "a/1.png,0,0,29,19\nb/2.png,5,6,5,9\na/3.png,1,2,3,4\n")
    dataset = metadata_set("test", str(root), box_convention="inclusive")
    truth = dataset.truth(1)
    np.testing.assert_array_equal(truth.boxes, [[5, 6, 6, 10]])
    np.testing.assert_array_equal(truth.annotated_boxes, [[5, 6, 5, 9]])
    np.testing.assert_array_equal(dataset.truth(0).boxes, [[0, 0, 30, 20]])


def test_windows_line_ends_and_other_orders(root):
    for name, text in GOOD.items():
        lines = text.split("\n")
        lines = lines if name == "image_ids.txt" else lines[::-1]
        rewrite(root, name, "\r\n".join(lines) + "\r\n")
    dataset = metadata_set("test", str(root))
    assert [dataset.label(i) for i in range(3)] == [0, 1, 0]
    assert dataset.records.sizes.tolist() == [[20, 30], [20, 30], [25, 40]]
    np.testing.assert_array_equal(dataset.truth(0).boxes, [[2, 3, 4, 5], [0, 0, 30, 20]])


def test_weaksup_never_opens_the_boxes(root):
    path = root / "metadata/train-weaksup/localization.txt"
    path.unlink()
    path.mkdir()  # opening it would fail
    dataset = metadata_set("train-weaksup", str(root))
    assert dataset[0][1].truth is None
    with pytest.raises(SupervisionError):
        dataset.truth(0)


@pytest.mark.parametrize("absent", [True, False])
def test_sizes_are_optional(root, absent):
    path = root / "metadata/test/image_sizes.txt"
    path.unlink() if absent else path.write_text("")
    dataset = metadata_set("test", str(root))
    assert dataset.records.sizes is None
    assert dataset[2][1].size == (25, 40)


def test_a_box_outside_an_image_of_unrecorded_size_is_found_on_loading(root):
    (root / "metadata/test/image_sizes.txt").unlink()
    rewrite(root, "localization.txt", "a/1.png,0,0,30,20\nb/2.png,0,0,31,20\na/3.png,1,2,3,4")
    dataset = metadata_set("test", str(root))
    dataset.load(0)
    with pytest.raises(DataError, match=r"reaches to x1 = 31, .* 30 x 20 pixels") as caught:
        dataset.load(1)
    assert caught.value.at.endswith("b/2.png")
    with pytest.raises(DataError, match="x1 = 31, y1 = 21"):
        metadata_set("test", str(root), box_convention="inclusive").load(0)


def test_a_decoded_size_that_disagrees_names_the_file(root, write_image):
    write_image(root / "images/b/2.png", (30, 20))
    dataset = metadata_set("test", str(root))
    with pytest.raises(DataError, match=r"has 20 x 30 pixels, its record says 30 x 20") as caught:
        dataset[1]
    assert caught.value.at.endswith("b/2.png")


def test_a_missing_image_is_an_image_error(root):
    (root / "images/b/2.png").unlink()
    with pytest.raises(ImageError, match="does not exist"):
        metadata_set("test", str(root))[1]


BAD_LINES = [
    ("image_ids.txt", "a/1.png\nb/2.png\na/1.png", 3, "already in line 1"),
    ("image_ids.txt", "a/1.png\nb/2.png,0\na/3.png", 2, "2 fields instead of 1"),
    ("class_labels.txt", "a/1.png,0\nb/2.png\na/3.png,0", 2, "1 fields instead of 2"),
    ("class_labels.txt", "a/1.png,0\nb/2.png,x\na/3.png,0", 2, "'x', not a usable integer"),
    ("class_labels.txt", "a/3.png,0\na/1.png,-1\nb/2.png,1", 2, "label -1 of 'a/1.png'"),
    ("class_labels.txt", GOOD["class_labels.txt"] + "\nb/2.png,1", 4, "already in line 2"),
    ("class_labels.txt", GOOD["class_labels.txt"] + "\nc.png,1", 4, "'c.png' is not in image_ids"),
    ("image_sizes.txt", "a/1.png,30,20\na/3.png,40,0\nb/2.png,30,20", 2, "'a/3.png' is 40 x 0"),
    ("localization.txt", GOOD["localization.txt"] + "\nc.png,0,0,1,1", 5, "not in image_ids.txt"),
    ("localization.txt", "a/1.png,0,0,1\n", 1, "4 fields instead of 5"),
    ("localization.txt", "a/1.png,0,0,1,1.5\n", 1, "'1.5', not a usable integer"),
    ("localization.txt", "a/1.png,0,0,0,5", 1, "box 0,0,0,5 has no area"),
    ("localization.txt", "a/1.png,0,0,3,5\nb/2.png,4,0,3,5", 2, "box 4,0,3,5 has no area"),
    ("localization.txt", "a/1.png,-1,0,3,5", 1, "box -1,0,3,5 lies outside"),
    ("localization.txt", "a/3.png,0,0,31,20\na/1.png,0,0,31,20", 2, "outside the image of 30 x 20"),
    ("localization.txt", "a/1.png,0,0,30,21", 1, "lies outside the image"),
]


@pytest.mark.parametrize(("name", "text", "line", "what"), BAD_LINES)
def test_bad_lines_are_named(root, name, text, line, what):
    rewrite(root, name, text)
    error = refusal(root)
    assert what in error.what
    assert error.at == f"{root}/metadata/test/{name}:{line}"
    assert error.expected


@pytest.mark.parametrize("name", ["class_labels.txt", "image_sizes.txt", "localization.txt"])
def test_an_image_that_another_file_lacks(root, name):
    rewrite(root, name, "\n".join(x for x in GOOD[name].split("\n") if "b/2" not in x))
    error = refusal(root)
    assert "'b/2.png' has no" in error.what
    assert error.at == f"{root}/metadata/test/image_ids.txt:2"


def test_the_hint_knows_the_other_box_convention(root):
    rewrite(root, "localization.txt", "a/1.png,0,0,30,20")
    error = refusal(root, box_convention="inclusive")
    assert "outside the image of 30 x 20" in error.what
    assert "really 'inclusive'" in error.hint
    rewrite(root, "localization.txt", "a/1.png,3,0,3,20")
    assert "really 'exclusive'" in refusal(root).hint


def test_empty_splits_missing_files_and_masks(root):
    rewrite(root, "image_ids.txt", "")
    assert "empty" in refusal(root).what
    (root / "metadata/train-fullsup/localization.txt").unlink()
    error = refusal(root, "train-fullsup")
    assert error.at.endswith("train-fullsup/localization.txt")
    rewrite(root, "localization.txt", "a/1.png,m/1.png,m/i.png\n", split="train-fullsup")
    assert "masks" in refusal(root, "train-fullsup").what


def test_missing_folders_list_what_is_there(root):
    error = refusal(root, parts={"test": "tset"})
    assert "metadata folder" in error.what
    assert "train-weaksup" in error.known
    assert "image folder" in refusal(root, images="pictures").what
    assert "data set's folder" in refusal(root / "none").what


def test_unknown_conventions_and_splits(root):
    with pytest.raises(ConfigError, match="did you mean 'inclusive'"):
        metadata_set("test", str(root), box_convention="inclusiv")
    with pytest.raises(ConfigError, match="no split val"):
        metadata_set("val", str(root))


def test_labels_with_gaps_need_a_class_list(root):
    rewrite(root, "class_labels.txt", "a/1.png,0\nb/2.png,2\na/3.png,0")
    error = refusal(root)
    assert error.what == "no image has label 1, but others have 2"
    (root / "classes.txt").write_text("0,n0,cat\n1,n1,dog\n2,n2,sea\n")
    dataset = metadata_set("test", str(root))
    assert dataset.classes == ("cat", "dog", "sea")
    assert dataset.label(1) == 2


def test_labels_beyond_the_class_list(root):
    (root / "names.txt").write_text("0,n0,cat")
    error = refusal(root, classes="names.txt")
    assert error.at.endswith("class_labels.txt:2")
    assert error.expected == "0 to 0"


def test_class_lists(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("1,n02012849,crane\n0,n01440764,tench\n2,n03126707,crane\n")
    assert read_classes(path) == ("tench", "crane (n02012849)", "crane (n03126707)")
    for text in ("", "0,a,b\n2,c,d", "0,a,b\n0,c,d", "1,a,b"):
        path.write_text(text)
        with pytest.raises(DataError, match="class list"):
            read_classes(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_classes(tmp_path / "none.txt")


def test_data_sets_reach_workers(root):
    dataset = pickle.loads(pickle.dumps(metadata_set("test", str(root))))
    assert dataset[1][1].image_id == "b/2.png"


def test_many_lines_take_seconds(tmp_path):
    count = 200_000
    ids = [f"n{i // 1300:08d}/n{i // 1300:08d}_{i}.JPEG" for i in range(count)]
    (tmp_path / "image_ids.txt").write_text("\n".join(ids))
    labels = np.random.default_rng(0).integers(0, 1000, count)
    lines = [f"{name},{label}" for name, label in zip(ids, labels.tolist(), strict=True)]
    (tmp_path / "class_labels.txt").write_text("\n".join(lines[::-1]))
    records = read_metadata(tmp_path, False, "exclusive", num_classes=1000)
    assert records.ids[count - 1] == ids[-1]
    np.testing.assert_array_equal(records.labels, labels)


@pytest.mark.parametrize(
    ("split", "count", "grey"), [("train-fullsup", 250, 5), ("test", 2500, 44)]
)
def test_tinyimagenet50(tinyimagenet50, split, count, grey):
    dataset = metadata_set(split, str(tinyimagenet50), box_convention="inclusive")
    assert (len(dataset), len(dataset.classes)) == (count, 50)
    assert dataset.classes[:2] == ("goldfish", "American alligator")
    labels = [dataset.label(i) for i in range(count)]
    assert np.bincount(labels).tolist() == [count // 50] * 50
    assert (dataset.records.boxes.counts() == 1).all()
    found_grey = 0
    for image, sample in map(dataset.__getitem__, range(count)):
        assert image.shape == (64, 64, 3)
        box, written = sample.truth.boxes[0], sample.truth.annotated_boxes[0]
        assert (box - written).tolist() == [0, 0, 1, 1]
        found_grey += (image == image[..., :1]).all()
    assert found_grey >= grey  # RGB files may be grey too
    boxes = dataset.records.boxes.boxes
    if split == "test":
        assert boxes[:2].tolist() == [[10, 19, 63, 42], [12, 0, 51, 56]]
        assert (boxes[:, :2] == boxes[:, 2:]).any(axis=1).sum() == 16
        assert (boxes == (0, 0, 63, 63)).all(axis=1).sum() == 151


def test_tinyimagenet50_training(tinyimagenet50):
    dataset = metadata_set("train-weaksup", str(tinyimagenet50), box_convention="inclusive")
    assert len(dataset) == 10000
    assert np.bincount(dataset.records.labels).tolist() == [200] * 50
    assert dataset.records.boxes is None
    image, sample = dataset[9999]
    assert (image.shape, sample.label, sample.truth) == ((64, 64, 3), 49, None)


def test_a_reader_goes_on_after_single_bad_images(root):
    rewrite(root, "image_ids.txt", "a/1.png\nb/2.png\na/3.png\nb/4.png\nb/5.png\nb/6.png")
    rewrite(root, "class_labels.txt", "a/1.png,0\nb/2.png,1\na/3.png,0\nb/5.png,-1\nb/6.png,1")
    sizes = "".join(f"{i}.png,30,20\n" for i in ("a/1", "b/2", "a/3", "b/4", "b/5", "b/6"))
    rewrite(root, "image_sizes.txt", sizes)
    boxes = "b/2.png,9,6,7,8\na/3.png,1,2,3,4\na/1.png,0,0,30,21\nb/4.png,0,0,1,1\n"
    rewrite(root, "localization.txt", boxes + "b/6.png,0,0,5,5\nb/2.png,0,0,5,5\n")
    reading = WsolMetadata().read(root, "test")
    assert list(reading.records.ids) == ["a/3.png", "b/6.png"]
    assert reading.records.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(reading.records.boxes[1], [[0, 0, 5, 5]])
    whats = {problem.image: problem.error.what for problem in reading.problems}
    assert sorted(whats) == ["a/1.png", "b/2.png", "b/4.png", "b/5.png"]
    assert "outside the image of 30 x 20" in whats["a/1.png"]
    assert "has no area" in whats["b/2.png"]
    assert "has no line in class_labels.txt" in whats["b/4.png"]
    assert "label -1" in whats["b/5.png"]
    with pytest.raises(DataError, match="lists all 4 such images"):
        metadata_set("test", str(root))


def test_a_training_share_becomes_another_split(root):
    names = [f"c/{i}.png" for i in range(40)]
    rewrite(root, "image_ids.txt", "\n".join(names), "train-weaksup")
    rewrite(root, "class_labels.txt", "\n".join(f"{n},0" for n in names), "train-weaksup")
    (root / "metadata/train-weaksup/image_sizes.txt").unlink()
    lines = "\n".join(f"{n},0,0,{i + 1},1" for i, n in enumerate(names))
    rewrite(root, "localization.txt", lines, "train-weaksup")
    reader = WsolMetadata(parts={"train-weaksup": "train-weaksup"}, fullsup_share=0.3)
    weak, full = (reader.read(root, split).records for split in reader.splits())
    assert sorted([*weak.ids, *full.ids]) == sorted(names)
    assert 5 < len(full) < 20
    assert weak.boxes is None
    assert [full.boxes[i][0, 2] - 1 for i in range(len(full))] == [
        names.index(name) for name in full.ids
    ]
