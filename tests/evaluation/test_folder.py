from __future__ import annotations

import io
import os
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.bad_maps import BadMapError
from wsoltool.evaluation.folder import find_maps, frame_map, read_map, write_map

GOOD = np.array([[0.0, 0.25], [0.5, 1.0]], np.float32)


@pytest.fixture
def maps(tmp_path):
    """A function that writes maps by name; the folder is its attribute ``root``."""

    def write(**files):
        for name, values in files.items():
            save(name, values)

    def save(name, values=GOOD):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.save(file, values)
        return path

    write.root, write.save = tmp_path, save
    return write


def test_names_with_and_without_extension_and_folders(maps):
    for name in ("a.jpeg.npy", "b.npy", "birds/1.5/c.JPEG.npy", "birds/1.5/d.npy"):
        maps.save(name)
    ids = ["a.jpeg", "b.png", "birds/1.5/c.JPEG", "birds/1.5/d.x.JPEG", "e.jpg", "birds/1.5/d.jpg"]
    folder = find_maps(maps.root, ids)
    assert folder.files == [
        "a.jpeg.npy",
        "b.npy",
        "birds/1.5/c.JPEG.npy",
        None,
        None,
        "birds/1.5/d.npy",
    ]
    missing = folder.missing(ids)
    assert [(bad.image_id, bad.kind, bad.file) for bad in missing] == [
        ("birds/1.5/d.x.JPEG", "missing", "birds/1.5/d.x.JPEG.npy"),
        ("e.jpg", "missing", "e.jpg.npy"),
    ]
    assert folder.extra == []


def test_ids_without_extension_and_of_other_spelling(maps):
    for name in ("a.npy", "x/b.jpg.npy"):
        maps.save(name)
    assert find_maps(maps.root, ["a", "./x//b.jpg"]).files == ["a.npy", "x/b.jpg.npy"]


def test_maps_of_no_image_are_named(maps):
    for name in ("a.jpg.npy", "z.npy", "x/y.npy"):
        maps.save(name)
    (maps.root / "notes.txt").write_text("no map")
    assert find_maps(maps.root, ["a.jpg"]).extra == ["x/y.npy", "z.npy"]


def test_a_folder_of_maps_by_class_is_refused(maps):
    for name in ("a.jpg.npy", "b/c.jpg/0_cat.npy", "b/c.jpg/1_dog.npy"):
        maps.save(name)
    with pytest.raises(EvaluationError, match=r"'b/c.jpg' has a folder of maps") as caught:
        find_maps(maps.root, ["a.jpg", "b/c.jpg"])
    assert "wsoltool test" in caught.value.hint
    maps.save("b/c.jpg.npy")
    assert find_maps(maps.root, ["a.jpg", "b/c.jpg"]).files == ["a.jpg.npy", "b/c.jpg.npy"]


def test_two_equal_maps_of_an_image_are_one(maps):
    maps.save("a.jpg.npy")
    maps.save("a.npy")
    folder = find_maps(maps.root, ["a.jpg"])
    assert folder.files == ["a.jpg.npy"]
    assert folder.extra == []


def test_two_different_maps_of_an_image(maps):
    maps.save("x/a.jpg.npy")
    maps.save("x/a.npy", GOOD / 2)
    with pytest.raises(EvaluationError, match=r"two different maps .*x/a.jpg.npy and x/a.npy"):
        find_maps(maps.root, ["x/a.jpg"])


def test_a_map_that_may_be_of_two_images(maps):
    maps.save("a.npy")
    with pytest.raises(EvaluationError, match=r"a.npy may be the map of 'a.jpg' and of 'a.png'"):
        find_maps(maps.root, ["a.jpg", "b.jpg", "a.png"])


def test_an_exact_name_is_its_own_images_map_alone(maps):
    maps.save("0.npy")
    assert find_maps(maps.root, ["0.jpeg", "0"]).files == [None, "0.npy"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_are_followed_and_circles_end(maps, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with (elsewhere / "a.jpg.npy").open("wb") as file:
        np.save(file, GOOD)
    (maps.root / "one").symlink_to(elsewhere)
    (maps.root / "two").symlink_to(elsewhere)
    (maps.root / "circle").symlink_to(maps.root)
    folder = find_maps(maps.root, ["one/a.jpg", "two/a.jpg"])
    assert folder.files == ["one/a.jpg.npy", "two/a.jpg.npy"]
    assert folder.extra == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_without_permission(maps):
    (maps.root / "closed").mkdir(mode=0)
    with pytest.raises(EvaluationError, match="map folder cannot be read"):
        find_maps(maps.root, ["a.jpg"])


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8"])
def test_floats_of_any_width_become_float64(maps, dtype):
    values = read_map(maps.save("a.npy", np.asfortranarray(GOOD.astype(dtype))))
    np.testing.assert_array_equal(values, GOOD)
    assert values.dtype == np.float64
    assert values.dtype.isnative
    assert values.flags.c_contiguous


def bad(path, normalise=False):
    with pytest.raises(BadMapError) as caught:
        read_map(path, normalise)
    return caught.value.kind, caught.value.what


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [
        (np.zeros((2, 2), np.uint8), "not float", "uint8"),
        (np.zeros((2, 2), bool), "not float", "bool"),
        (np.zeros((2, 2), np.complex64), "not float", "complex64"),
        (np.zeros((2, 2), [("x", "f4")]), "not float", "x"),
        (np.array([["0.5"]]), "not float", "<U3"),
        (np.zeros(4), "not 2-D", "(4,)"),
        (np.zeros((1, 2, 2)), "not 2-D", "(1, 2, 2)"),
        (np.float32(0.5), "not 2-D", "()"),
        (np.zeros((0, 4)), "empty", "(0, 4)"),
        (np.array([[0, np.nan]]), "NaN or infinity", "1 of 2 values"),
        (np.array([[0, np.inf, -np.inf]]), "NaN or infinity", "2 of 3 values"),
        (np.array([[0, 2e300]]), "NaN or infinity", "too large"),
        (np.full((3, 3), 0.5), "constant", "0.5 everywhere"),
        (np.full((3, 3), 7.0), "constant", "7 everywhere"),
    ],
)
def test_every_kind_of_bad_map(maps, values, kind, says):
    found, what = bad(maps.save("a.npy", values), normalise=True)
    assert found == kind
    assert says in what


@pytest.mark.parametrize("values", [[[0, 1.0001]], [[-1e-9, 1]], [[3.0, 3.0]]])
def test_values_outside_the_range_unless_normalised(maps, values):
    assert bad(maps.save("a.npy", np.array(values)))[0] == "outside [0, 1]"


def test_nothing_is_told_of_a_sound_map(maps):
    path = maps.save("a.npy", np.array([[-3.0, 8.0]]))
    np.testing.assert_array_equal(read_map(path, normalise=True), [[-3, 8]])
    fitted = frame_map(read_map(path, normalise=True), (1, 2), "bilinear", normalise=True)
    np.testing.assert_array_equal(fitted, [[0, 1]])


def test_a_map_that_becomes_constant_in_its_frame(maps):
    with pytest.raises(BadMapError, match="resized to 1 x 1") as caught:
        frame_map(read_map(maps.save("a.npy")), (1, 1), "bilinear", normalise=True)
    assert caught.value.kind == "constant"


def packed(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def archive():
    file = io.BytesIO()
    np.savez(file, map=GOOD)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        packed(GOOD)[:-1],
        packed(GOOD)[:40],
        archive(),
        pickle.dumps(GOOD),
        packed(np.array([{"a": 1}], dtype=object)),
        packed(GOOD).replace(b"(2, 2)", b"(9, 9)"),
        packed(GOOD).replace(b"'descr'", b"'dexcr'"),
        packed(GOOD).replace(b"<f4", b"<q9"),
    ],
)
def test_files_that_hold_no_array(tmp_path, content):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    kind, what = bad(path)
    assert kind == "unreadable"
    assert what
    assert "\n" not in what


def test_files_that_cannot_be_opened(tmp_path):
    assert bad(tmp_path / "nothing.npy") == ("unreadable", "No such file or directory")
    (tmp_path / "folder.npy").mkdir()
    assert bad(tmp_path / "folder.npy")[0] == "unreadable"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_ends_in_anything_but_a_map_or_its_kind(tmp_path_factory, data):
    content = bytearray(packed(GOOD))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damage") / "a.npy"
    path.write_bytes(bytes(content))
    try:
        values = read_map(path)
    except BadMapError:
        return
    assert values.ndim == 2
    assert 0 <= values.min() < values.max() <= 1


def test_an_error_survives_pickling():
    error = pickle.loads(pickle.dumps(BadMapError("0 everywhere", "constant")))
    assert (error.what, error.kind) == ("0 everywhere", "constant")


@pytest.mark.parametrize("image_id", ["a.jpeg", "b", "birds/1.5/c.JPEG"])
def test_a_written_map_is_found_and_read(tmp_path, image_id):
    write_map(tmp_path, image_id, GOOD)
    folder = find_maps(tmp_path, [image_id])
    np.testing.assert_array_equal(read_map(tmp_path / folder.files[0]), GOOD)


@pytest.mark.parametrize("image_id", ["../a", "b/../../a", "/tmp/a"])
def test_no_map_is_written_outside_the_folder(tmp_path, image_id):
    with pytest.raises(EvaluationError, match="outside the map folder"):
        write_map(tmp_path / "maps", image_id, GOOD)
    assert not list(tmp_path.rglob("*.npy"))


def test_a_map_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "birds").write_text("a file where a folder should be")
    with pytest.raises(EvaluationError, match="cannot be written") as caught:
        write_map(tmp_path, "birds/a.jpg", GOOD)
    assert "a.jpg.npy" in str(caught.value)
