"""Colours, orientation and refusals of the image reader, against Pillow."""

from __future__ import annotations

import io
import pickle

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from wsoltool.datasets.images import read_image, read_mask, read_segments
from wsoltool.errors import DataError, ImageError


@pytest.fixture
def photo() -> Image.Image:
    """48 x 32 smooth colours without any symmetry."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(cv2.resize(coarse, (48, 32), interpolation=cv2.INTER_CUBIC))


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_reads_rgb_and_grey(photo, tmp_path, kind, mode):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(photo.convert(mode), kind, **options)
    (tmp_path / "image").write_bytes(data)
    image = read_image(tmp_path / "image")
    assert image.shape == (32, 48, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, pillow(data))


@pytest.mark.parametrize("mode", ["P", "1", "LA", "RGBA"])
def test_other_png_modes_become_rgb(photo, tmp_path, mode):
    data = encode(photo.convert(mode), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pillow(data))


def test_alpha_is_dropped_not_blended(tmp_path):
    pixels = np.full((2, 3, 4), (200, 100, 50, 0), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == (200, 100, 50)).all()


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3)])
@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bits_keep_their_upper_eight(tmp_path, shape, extension):
    values = np.linspace(0, 65535, np.prod(shape)).astype(np.uint16).reshape(shape)
    written = values[..., ::-1] if len(shape) == 3 else values  # OpenCV writes BGR
    (tmp_path / "a").write_bytes(cv2.imencode(extension, written)[1].tobytes())
    expected = values >> 8 if len(shape) == 3 else np.stack([values >> 8] * 3, axis=-1)
    np.testing.assert_array_equal(read_image(tmp_path / "a"), expected)


def with_adobe_transform(data: bytes, transform: int) -> bytes:
    """The colour transform of the Adobe marker: 0 CMYK, 2 YCCK."""
    position = data.index(b"Adobe") + 11
    return data[:position] + bytes([transform]) + data[position + 1 :]


@pytest.mark.parametrize("transform", [0, 2])
def test_cmyk_jpeg_has_pillows_colours(photo, tmp_path, transform):
    data = with_adobe_transform(encode(photo.convert("CMYK"), "JPEG"), transform)
    (tmp_path / "a.jpg").write_bytes(data)
    assert np.abs(read_image(tmp_path / "a.jpg") - pillow(data)).max() <= 1


def test_cmyk_jpeg_has_the_photos_colours(photo, tmp_path):
    photo.convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    difference = read_image(tmp_path / "a.jpg").astype(int) - np.asarray(photo)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation(photo, tmp_path, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo, kind, exif=exif)
    (tmp_path / "a").write_bytes(data)
    seen = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(read_image(tmp_path / "a"), np.asarray(seen))
    np.testing.assert_array_equal(read_image(tmp_path / "a", exif=False), pillow(data))


def test_names_that_are_not_ascii(photo, tmp_path):
    path = tmp_path / "größe 猫.jpg"
    photo.save(path)
    assert read_image(str(path)).shape == (32, 48, 3)


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})]
)
@pytest.mark.parametrize("kept", [0.5, 0.9, -2, -1])
def test_truncated_files_are_refused(photo, tmp_path, capfd, kind, options, kept):
    data = encode(photo.resize((96, 64)), kind, **options)
    cut = kept if kept < 0 else int(len(data) * kept)
    (tmp_path / "cut.jpg").write_bytes(data[:cut])
    with pytest.raises(ImageError, match="is truncated: ") as caught:
        read_image(tmp_path / "cut.jpg")
    assert caught.value.at == str(tmp_path / "cut.jpg")
    assert "fetch it again" in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_bytes_after_the_end_are_allowed(photo, tmp_path, kind):
    data = encode(photo, kind)
    (tmp_path / "a").write_bytes(data + b"\xff\xda junk IEN" + bytes(20))
    np.testing.assert_array_equal(read_image(tmp_path / "a"), pillow(data))


def test_a_thumbnails_end_is_not_the_images_end(photo, tmp_path):
    thumbnail = encode(photo.resize((8, 8)), "JPEG")
    data = encode(photo.resize((96, 64)), "JPEG")
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    data = data[:2] + segment + data[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert read_image(path).shape == (64, 96, 3)
    path.write_bytes(data + b"\0")
    assert read_image(path).shape == (64, 96, 3)
    path.write_bytes(data[:-20])
    with pytest.raises(ImageError, match="is truncated: "):
        read_image(path)


@pytest.mark.parametrize("kind", ["BMP", "WEBP", "TIFF"])
def test_other_truncated_files_are_refused_quietly(photo, tmp_path, capfd, kind):
    data = encode(photo, kind)
    (tmp_path / "a").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match="the image is damaged"):
        read_image(tmp_path / "a")
    assert capfd.readouterr().err == ""


def test_missing_empty_foreign_and_folder(tmp_path):
    with pytest.raises(ImageError, match="does not exist") as caught:
        read_image(tmp_path / "none.jpg")
    assert isinstance(caught.value, DataError)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match="0 bytes"):
        read_image(tmp_path / "empty.jpg")
    (tmp_path / "page.jpg").write_text("<!DOCTYPE html><p>404")
    with pytest.raises(ImageError, match="unsupported kind") as caught:
        read_image(tmp_path / "page.jpg")
    assert "<!DOCTYPE" in caught.value.hint
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path)


def test_errors_cross_processes(tmp_path):
    with pytest.raises(ImageError) as caught:
        read_image(tmp_path / "none.jpg")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_opencvs_log_level_is_restored(photo, tmp_path):
    before = cv2.utils.logging.getLogLevel()
    photo.save(tmp_path / "a.jpg")
    read_image(tmp_path / "a.jpg")
    assert cv2.utils.logging.getLogLevel() == before


@pytest.mark.parametrize("level", [0, 1, 127, 254])
def test_masks_are_what_is_brighter_than_a_level(tmp_path, level):
    pixels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", level), pixels > level)


def segments_file(path, pixels, mode="P"):
    """Write numbers of classes as palette indices or grey levels."""
    image = Image.fromarray(pixels)
    if mode == "P":
        image.putpalette([(7 * n) % 256 for n in range(768)])
    image.save(path)
    return path


@pytest.mark.parametrize("mode", ["P", "L"])
def test_segments_are_numbers_not_colours(tmp_path, mode):
    pixels = np.array([[0, 1, 20], [255, 254, 3]], np.uint8)
    segments = read_segments(segments_file(tmp_path / "s.png", pixels, mode))
    assert segments.tolist() == [[0, 1, 20], [-1, 254, 3]]
    assert segments.dtype == np.int16


def test_segments_with_few_colours_are_read_alike(tmp_path):
    """PNG packs a palette of four colours into two bits a pixel."""
    image = Image.new("P", (5, 3), 2)
    image.putpalette([0, 0, 0, 9, 9, 9, 50, 60, 70, 1, 2, 3])
    image.save(tmp_path / "s.png", bits=2)
    assert read_segments(tmp_path / "s.png").tolist() == [[2] * 5] * 3


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "1", "LA", "I;16"])
def test_other_images_are_no_segments(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "s.png")
    with pytest.raises(ImageError, match="has mode") as caught:
        read_segments(tmp_path / "s.png")
    assert caught.value.at == str(tmp_path / "s.png")
    assert "palette" in caught.value.expected


def test_segments_that_cannot_be_read(tmp_path):
    path = segments_file(tmp_path / "s.png", np.zeros((40, 30), np.uint8))
    data = path.read_bytes()
    for content, what in (
        (None, "does not exist"),
        (b"", "is empty"),
        (data[:-15], "is truncated"),
        (b"text" * 9, "cannot be decoded"),
        (data[:60] + b"x" + data[61:], "cannot be decoded"),
    ):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ImageError, match=f"the segmentation .*{what}") as caught:
            read_segments(path)
        assert caught.value.at == str(path)
        path.touch()
