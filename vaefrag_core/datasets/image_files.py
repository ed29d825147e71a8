"""The header and the decoded pixels, eight bits each, of one PNG or JPEG file.

Colour of a palette is looked up, transparency is laid on black, sixteen bits are brought to eight, and the
orientation that a camera noted is applied.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vaefrag_core.array_types import ImageArray

MAX_PIXELS = 2**26  # of a picture: 64 million, above any camera's in a study, below what could fill the memory
_ORIENTATION = 0x0112  # EXIF tag
_FIRST_ORIENTATION_ON_ITS_SIDE = 5  # from here on, height and width are swapped
_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}


class UnreadableImageError(Exception):
    """A file is no picture, or is damaged or too large; the text says which."""


class ImageHeader(NamedTuple):
    """What the header of a picture says: sides in pixels, Pillow's mode ("L", "RGB", …), whether it has colour."""

    height: int
    width: int
    mode: str
    colour: bool


def read_header(data: bytes) -> ImageHeader:
    """Read the header of a picture.

    Raises:
        UnreadableImageError: when the data do not begin with one.
    """
    with _open_image(data) as picture:
        width, height = picture.size
        if picture.getexif().get(_ORIENTATION, 1) >= _FIRST_ORIENTATION_ON_ITS_SIDE:
            width, height = height, width
        return ImageHeader(height, width, picture.mode, picture.mode not in _GREY)


def decode_image(data: bytes, height: int, width: int, colour: bool) -> ImageArray:
    """Decode a picture to a size. A picture of another size is cut to the shape around its middle, and scaled.

    Args:
        data: the file's bytes.
        height: of the result, pixels.
        width: of the result, pixels.
        colour: whether the result has three channels rather than one.

    Returns:
        (H, W) or (H, W, 3).

    Raises:
        UnreadableImageError: when the picture is damaged.
    """
    with _open_image(data) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.mode.startswith("I"):  # sixteen bits of grey, which Pillow may hold in thirty-two and then clips
            levels = np.clip(np.asarray(picture).astype(np.int64), 0, 65_535)
            picture = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
        if picture.has_transparency_data:
            ground = Image.new("RGBA", picture.size, (0, 0, 0, 255))
            ground.alpha_composite(picture.convert("RGBA"))
            picture = ground
        picture = picture.convert("RGB" if colour else "L")
        if picture.size != (width, height):
            picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
        return np.asarray(picture)


def resize_square(picture: ImageArray, side: int) -> ImageArray:
    """Scale a square picture, (H, H) or (H, H, 3), to (side, side) or (side, side, 3)."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((side, side), Image.Resampling.LANCZOS))


@contextmanager
def _open_image(data: bytes) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; what is outsized is refused below
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise UnreadableImageError(f"{width:,}×{height:,} pixels, more than {MAX_PIXELS:,}")
                yield picture
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        raise UnreadableImageError("no PNG or JPEG") from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(f"more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # a hostile file surfaces as whatever its decoder trips over
        raise UnreadableImageError(f"damaged: {str(error)[:120] or type(error).__name__}") from error
