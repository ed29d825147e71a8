"""One PNG or JPEG file: looked at, then decoded to grey levels of eight bits.

Colour of a palette is looked up, transparency is laid on black, sixteen bits are brought to eight, and the
orientation that a camera noted is applied.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vaefrag_core.array_types import ImageArray

MAX_PIXELS = 2**26  # of a picture: 64 million, above any camera's in a study, below what could fill the memory
_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}


class UnreadableImageError(Exception):
    """A file that is no picture, or a damaged or an outsized one; the text says which."""


def look(data: bytes) -> tuple[int, int, str, bool]:
    """Read the head of a picture.

    Returns:
        Height, width, Pillow's name of the mode ("L", "RGB", …), and whether it has colour.

    Raises:
        UnreadablePictureError: when it is not the head of a picture.
    """
    with _opened(data) as picture:
        width, height = picture.size
        turned = picture.getexif().get(0x0112, 1) >= 5  # orientations that swap the sides
        return (width, height, *_kind(picture)) if turned else (height, width, *_kind(picture))


def decode(data: bytes, height: int, width: int, colour: bool) -> ImageArray:
    """Decode a picture to a size; of another one, its middle is cut to the shape and scaled.

    Args:
        data: the file.
        height: wanted, pixels.
        width: wanted, pixels.
        colour: whether three channels are wanted, or one.

    Returns:
        (H, W) or (H, W, 3).

    Raises:
        UnreadablePictureError: when it is damaged.
    """
    with _opened(data) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.mode.startswith("I"):  # sixteen bits of grey, though Pillow may hold them in thirty-two
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


def scaled(picture: ImageArray, side: int) -> ImageArray:
    """Scale a square picture, (H, H) or (H, H, 3), to (side, side) or (side, side, 3)."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((side, side), Image.Resampling.LANCZOS))


def _kind(picture: Image.Image) -> tuple[str, bool]:
    return picture.mode, picture.mode not in _GREY


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
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
