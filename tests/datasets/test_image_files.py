import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vaefrag_core.datasets.image_files import UnreadableImageError, decode_image, read_header


def packed(picture: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def png(width: int, height: int, rows: bytes = b"", bits: int = 8, colour: int = 0) -> bytes:
    """A PNG written by hand: its head may promise what it likes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


RAMP = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


def test_grey_levels_come_back_as_they_are() -> None:
    data = packed(Image.fromarray(RAMP))
    assert read_header(data) == (4, 6, "L", False)
    np.testing.assert_array_equal(decode_image(data, 4, 6, colour=False), RAMP)


def test_colour_is_kept_and_grey_becomes_colour_beside_it() -> None:
    colours = np.stack([RAMP, RAMP // 2, 255 - RAMP], axis=2)
    data = packed(Image.fromarray(colours))
    assert read_header(data) == (4, 6, "RGB", True)
    np.testing.assert_array_equal(decode_image(data, 4, 6, colour=True), colours)
    grey = decode_image(packed(Image.fromarray(RAMP)), 4, 6, colour=True)
    np.testing.assert_array_equal(grey, np.repeat(RAMP[..., None], 3, axis=2))


def test_sixteen_bits_become_eight() -> None:
    levels = np.array([[0, 257, 32_768, 65_535]], dtype=">u2")
    data = png(4, 1, b"\0" + levels.tobytes(), bits=16)
    assert not read_header(data)[3]
    assert decode_image(data, 1, 4, colour=False).tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_black(mode: str) -> None:
    white = [255] * (len(mode) - 1)
    levels = np.array([[[*white, 255], [*white, 0], [*white, 51]]], dtype=np.uint8)
    data = packed(Image.fromarray(levels, mode) if mode == "LA" else Image.fromarray(levels))
    assert decode_image(data, 1, 3, colour=False).tolist() == [[255, 0, 51]]


def test_a_palette_is_looked_up() -> None:
    picture = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    assert decode_image(packed(picture), 1, 2, colour=True).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_the_middle_is_cut_out_and_scaled() -> None:
    wide = np.zeros((10, 30), dtype=np.uint8)
    wide[:, 10:20] = 200  # the middle square
    small = decode_image(packed(Image.fromarray(wide)), 5, 5, colour=False)
    assert small.shape == (5, 5)
    assert small.min() > 150  # rings of the filter, but nothing of the black beside it


def test_a_turned_camera_is_turned_back() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned a quarter
    tall = np.zeros((8, 16, 3), dtype=np.uint8)
    tall[:, :8] = 255
    data = packed(Image.fromarray(tall), "JPEG", exif=exif, quality=95)
    assert read_header(data)[:2] == (16, 8)
    turned = decode_image(data, 16, 8, colour=False)
    assert turned[:7].mean() > 250
    assert turned[-7:].mean() < 5


def test_cmyk_is_read() -> None:
    picture = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert decode_image(packed(picture, "JPEG"), 8, 8, colour=False).min() > 250


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no PNG or JPEG"),
        (b"<html>", "no PNG or JPEG"),
        (packed(Image.fromarray(RAMP), "GIF"), "no PNG or JPEG"),
        (packed(Image.fromarray(RAMP))[:50], "damaged"),
        (png(6, 4), "damaged"),
        (packed(Image.fromarray(np.zeros((64, 64), np.uint8)), "JPEG")[:-200], "damaged"),
        (png(60_000, 60_000), "more than 67,108,864"),
        (png(9_000, 9_000), "9,000×9,000 pixels, more than 67,108,864"),
    ],
    ids=["empty", "html", "gif", "cut", "rows missing", "cut jpeg", "bomb", "small bomb"],
)
def test_what_is_no_sound_picture_is_said(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableImageError, match=said):
        decode_image(data, 4, 6, colour=False)
