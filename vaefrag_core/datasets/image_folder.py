"""The data set `images`: PNG and JPEG files of a folder or a zip archive, subfolders as classes.

All images get one size: the requested square, else the commonest size of the files when it has at most 64 pixels a
side, else 64×64. Files of another size are cut to that shape around their middle, and scaled. Colour is kept when any
file has colour. Files that cannot be read are left out, and reported.
"""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.datasets.file_sources import FileSource, UnreadableFileError, open_file_source
from vaefrag_core.datasets.image_cache import ImageNotes, ImageWriter, cached_images
from vaefrag_core.datasets.image_files import ImageHeader, UnreadableImageError, decode_image, read_header
from vaefrag_core.errors import InvalidInputError

NAME = "images"
ENDINGS = (".png", ".jpg", ".jpeg")
DEFAULT_SIDE = 64  # pixels at most, unless another size is requested
LEAST_SIDE = 8  # pixels, as of --image-size
_MAX_NAMED = 3  # files that a remark names; the report names all


class _ReadableFile(NamedTuple):
    """A file whose header could be read."""

    name: str
    header: ImageHeader


def load_image_folder(path: str | Path, image_size: int | None = None) -> ImageDataset:
    """Load the pictures of a folder or a zip archive, decoded once and memory-mapped.

    Args:
        path: the folder or archive.
        image_size: pixels of a side; None leaves it to the files.

    Returns:
        The data set, with the factor "class" when its files are in several folders.

    Raises:
        MissingDataError: when nothing is at the path.
        InvalidInputError: when fewer than two files can be read, or they show nothing.
        BrokenFileError: when it is a file, but no zip archive.
    """
    with open_file_source(Path(path)) as source:
        version = [image_size, source.version]
        cached = cached_images(NAME, version, lambda folder: _unpack(source, Path(path), image_size, folder))
    return cached.dataset(NAME, str(path))


def _unpack(source: FileSource, path: Path, image_size: int | None, folder: Path) -> ImageNotes:
    report, readable = _read_headers(source)
    if not readable:
        raise InvalidInputError(_too_few_sentence(path, report, 0))
    height, width = _common_size([file.header for file in readable], image_size)
    colour = any(file.header.colour for file in readable)
    written: dict[str, ImageHeader] = {}
    with ImageWriter(folder, (height, width, 3) if colour else (height, width), len(readable)) as writer:
        for name, header in readable:
            # Only now, as a header may be whole where the rest of the file is not.
            try:
                writer.write(decode_image(source.read(name), height, width, colour)[None])
            except (UnreadableFileError, UnreadableImageError) as error:
                report[name] = str(error)
                continue
            report[name] = f"read: {header.width}×{header.height} {header.mode}"
            written[name] = header
        left_out = {name: reason for name, reason in report.items() if name not in written}
        if len(written) < 2:
            raise InvalidInputError(_too_few_sentence(path, left_out, len(written)))
        remarks = writer.statistics.remarks(str(path))
    resized = sum((header.height, header.width) != (height, width) for header in written.values())
    if resized:
        remarks.insert(0, f"{resized:,} of {len(written):,} images were scaled to {width}×{height} pixels.")
    if left_out:
        more = f" and {len(left_out) - _MAX_NAMED:,} more" if len(left_out) > _MAX_NAMED else ""
        were = "was" if len(left_out) == 1 else "were"
        examples = ", ".join(_with_reasons(left_out))
        remarks.insert(0, f"{len(left_out):,} of {len(report):,} files {were} left out: {examples}{more}.")
    return ImageNotes(_classes(list(written)), remarks, list(report.items()))


def _read_headers(source: FileSource) -> tuple[dict[str, str], list[_ReadableFile]]:
    """Read the header of every picture.

    Returns:
        The report so far, by file name, and the files whose header could be read.
    """
    report: dict[str, str] = {}
    readable: list[_ReadableFile] = []
    for name in source.names:
        if not name.lower().endswith(ENDINGS):
            report[name] = f"not {', '.join(ENDINGS)}"
            continue
        if {"/", ".."} & set(PurePosixPath(name).parts):
            report[name] = "its name leads out of the archive"
            continue
        try:
            readable.append(_ReadableFile(name, read_header(source.read(name))))
            report[name] = "seen"
        except (UnreadableFileError, UnreadableImageError) as error:
            report[name] = str(error)
    return report, readable


def _common_size(headers: list[ImageHeader], image_size: int | None) -> tuple[int, int]:
    if image_size is not None:
        return image_size, image_size
    # Strips and dots do not count: everything else would be scaled down to them. Of sizes that are equally common the
    # smallest, so that the order of the files has no effect.
    counts = Counter((header.height, header.width) for header in headers)
    candidates = [size for size in counts if min(size) >= LEAST_SIDE] or list(counts)
    height, width = min(candidates, key=lambda size: (-counts[size], size))
    return (height, width) if max(height, width) <= DEFAULT_SIDE else (DEFAULT_SIDE, DEFAULT_SIDE)


def _classes(names: list[str]) -> tuple[Factor, ...]:
    """Return the folder of each file as its class, below the folders that all files share."""
    folders = [PurePosixPath(name).parent.parts for name in names]
    shared = 0
    while all(len(parts) > shared for parts in folders) and len({parts[shared] for parts in folders}) == 1:
        shared += 1
    texts = [parts[shared] if len(parts) > shared else "(no folder)" for parts in folders]
    levels, codes = np.unique(texts, return_inverse=True)
    return (Factor("class", codes, tuple(str(level) for level in levels)),) if len(levels) > 1 else ()


def _too_few_sentence(path: Path, left_out: dict[str, str], n_read: int) -> str:
    reasons = ", ".join(_with_reasons(left_out))
    if n_read:
        got = f"got one: {reasons}" if reasons else "got one"
    elif left_out:
        got = f"got {len(left_out):,} other file{'' if len(left_out) == 1 else 's'}, such as {reasons}"
    else:
        got = "got none"
    return f"Expected at least 2 PNG or JPEG files in {path}, {got}. Put the pictures there."


def _with_reasons(left_out: dict[str, str]) -> list[str]:
    """Name the first few files that were left out, each with the reason."""
    return [f"{name} ({reason})" for name, reason in list(left_out.items())[:_MAX_NAMED]]
