from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from wsoltool.datasets.image_sizes import header_size, header_sizes
from wsoltool.datasets.images import read_image
from wsoltool.datasets.metadata_files import read_metadata
from wsoltool.errors import DataError, ImageError


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm"])
def test_sizes_of_all_kinds_of_files(tmp_path, write_image, suffix):
    write_image(tmp_path / f"a{suffix}", (21, 34))
    assert header_size(tmp_path / f"a{suffix}") == (21, 34)


def test_sizes_in_the_order_of_the_ids(tmp_path, write_image):
    write_image(tmp_path / "x/a.jpg", (21, 34))
    write_image(tmp_path / "b.png", (5, 6))
    assert header_sizes(tmp_path, ["b.png", "x/a.jpg"]).tolist() == [[5, 6], [21, 34]]
    assert header_sizes(tmp_path, []).shape == (0, 2)


def test_pixels_are_not_decoded(tmp_path, write_image):
    path = tmp_path / "a.png"
    write_image(path, (200, 300))
    path.write_bytes(path.read_bytes()[:200])
    assert header_size(path) == (200, 300)


def test_a_huge_image_is_no_bomb(tmp_path):
    path = tmp_path / "a.png"
    content = bytearray(cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    # The checksum of the header's chunk, which the decoder compares.
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(content))
    assert header_size(path) == (60_000, 60_000)


def test_files_that_are_no_images(tmp_path):
    with pytest.raises(ImageError, match="No such file") as caught:
        header_size(tmp_path / "a.png")
    assert caught.value.at == str(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(ImageError, match="no known kind"):
        header_size(tmp_path / "a.png")


def test_metadata_without_sizes_takes_them_from_the_images(tmp_path, write_image):
    write_image(tmp_path / "images/a.png", (20, 30))
    (tmp_path / "image_ids.txt").write_text("a.png")
    (tmp_path / "class_labels.txt").write_text("a.png,0")
    (tmp_path / "localization.txt").write_text("a.png,0,0,30,20")
    arguments = (tmp_path, True, "exclusive")
    assert read_metadata(*arguments).sizes is None
    records = read_metadata(*arguments, image_root=tmp_path / "images")
    assert records.sizes.tolist() == [[20, 30]]
    (tmp_path / "localization.txt").write_text("a.png,0,0,20,30")
    with pytest.raises(DataError, match="outside the image of 30 x 20"):
        read_metadata(*arguments, image_root=tmp_path / "images")
    (tmp_path / "image_sizes.txt").write_text("a.png,40,40")
    records = read_metadata(*arguments, image_root=tmp_path / "images")
    assert records.sizes.tolist() == [[40, 40]]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_turns_sizes_as_it_turns_pixels(tmp_path, suffix, orientation):
    path = tmp_path / f"turned{suffix}"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (34, 21)).save(path, exif=exif)
    for turned in (True, False):
        assert header_size(path, turned) == read_image(path, turned).shape[:2]
