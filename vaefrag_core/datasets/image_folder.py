"""The data set `images`: PNG and JPEG files of a folder or a zip archive, subfolders as classes.

All images get one size: the square that is asked for, else the commonest of the files when that has at most 64 pixels
a side, else 64×64. Of files of another size the middle is cut to that shape and scaled. Colour is kept when any file
has colour. What cannot be read is left out, and said.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.datasets.file_sources import FileSource, UnreadableFileError, open_file_source
from vaefrag_core.datasets.image_cache import ImageNotes, ImageWriter, keep
from vaefrag_core.datasets.image_files import UnreadableImageError, decode, look
from vaefrag_core.errors import InvalidInputError

NAME = "images"
ENDINGS = (".png", ".jpg", ".jpeg")
DEFAULT_SIDE = 64  # pixels at most, unless another size is asked for
LEAST_SIDE = 8  # pixels, as of --image-size
_NAMED = 3  # files that a remark names; the report has them all


@dataclass(frozen=True)
class _Found:
    """A file whose head could be read."""

    name: str
    height: int
    width: int
    mode: str
    colour: bool


def images(path: str | Path, image_size: int | None = None) -> ImageDataset:
    """Give the pictures of a folder or a zip archive, decoded once and memory-mapped.

    Args:
        path: the folder or archive.
        image_size: pixels of a side.

    Returns:
        The data set; with the factor "class" when its files lie in several folders.

    Raises:
        MissingDataError: when nothing is there.
        InvalidInputError: when fewer than two files can be read, or they show nothing.
        BrokenFileError: when it is a file, but no zip archive.
    """
    with open_file_source(Path(path)) as shelf:
        kept = keep(NAME, [image_size, shelf.made_from], lambda folder: _unpack(shelf, Path(path), image_size, folder))
    return kept.dataset(NAME, str(path))


def _unpack(shelf: FileSource, path: Path, image_size: int | None, folder: Path) -> ImageNotes:
    report, found = _look_at_all(shelf)
    if not found:
        raise InvalidInputError(_nothing(path, report))
    height, width = _common_size(found, image_size)
    colour = any(file.colour for file in found)
    written = []
    with ImageWriter(folder, (height, width, 3) if colour else (height, width), len(found)) as writer:
        for file in found:
            try:
                writer.write(decode(shelf.read(file.name), height, width, colour)[None])
            except (UnreadableFileError, UnreadableImageError) as error:
                report[file.name] = str(error)
                continue
            report[file.name] = f"read: {file.width}×{file.height} {file.mode}"
            written.append(file)
        if len(written) < 2:
            raise InvalidInputError(_nothing(path, report))
        remarks = writer.seen.remarks(str(path))
    resized = sum((file.height, file.width) != (height, width) for file in written)
    if resized:
        remarks.insert(0, f"{resized:,} of {len(written):,} images were scaled to {width}×{height} pixels.")
    bad = [f"{name} ({why})" for name, why in report.items() if not why.startswith("read")]
    if bad:
        more = f" and {len(bad) - _NAMED:,} more" if len(bad) > _NAMED else ""
        were = "was" if len(bad) == 1 else "were"
        remarks.insert(0, f"{len(bad):,} of {len(report):,} files {were} left out: {', '.join(bad[:_NAMED])}{more}.")
    return ImageNotes(_classes([file.name for file in written]), remarks, list(report.items()))


def _look_at_all(shelf: FileSource) -> tuple[dict[str, str], list[_Found]]:
    """Read every head: the report, name by name, and the files that can be gone on with."""
    report, found = {}, []
    for name in shelf.names:
        if not name.lower().endswith(ENDINGS):
            report[name] = f"not {', '.join(ENDINGS)}"
            continue
        if {"/", ".."} & set(PurePosixPath(name).parts):
            report[name] = "its name leads out of the archive"
            continue
        try:
            found.append(_Found(name, *look(shelf.read(name))))
            report[name] = "seen"
        except (UnreadableFileError, UnreadableImageError) as error:
            report[name] = str(error)
    return report, found


def _common_size(found: list[_Found], image_size: int | None) -> tuple[int, int]:
    if image_size is not None:
        return image_size, image_size
    # Of sizes that are equally common the smallest, so that the order of files decides nothing. Strips and dots do not
    # count: everything else would be scaled down to them.
    counts = Counter((file.height, file.width) for file in found)
    wide = [size for size in counts if min(size) >= LEAST_SIDE] or list(counts)
    height, width = min(wide, key=lambda size: (-counts[size], size))
    return (height, width) if max(height, width) <= DEFAULT_SIDE else (DEFAULT_SIDE, DEFAULT_SIDE)


def _classes(names: list[str]) -> tuple[Factor, ...]:
    """Give the folder of each file as its class; folders that all files share say nothing."""
    folders = [PurePosixPath(name).parent.parts for name in names]
    shared = 0
    while all(len(parts) > shared for parts in folders) and len({parts[shared] for parts in folders}) == 1:
        shared += 1
    texts = [parts[shared] if len(parts) > shared else "(no folder)" for parts in folders]
    levels, codes = np.unique(texts, return_inverse=True)
    return (Factor("class", codes, tuple(str(level) for level in levels)),) if len(levels) > 1 else ()


def _nothing(path: Path, report: dict[str, str]) -> str:
    reasons = [f"{name} ({why})" for name, why in report.items() if not why.startswith("read")][:_NAMED]
    got = (
        f"got {len(report):,} other file{'' if len(report) == 1 else 's'}, such as {', '.join(reasons)}"
        if reasons
        else "got none"
    )
    if any(why.startswith("read") for why in report.values()):
        got = f"got one{': ' if reasons else ''}{', '.join(reasons)}"
    return f"Expected at least 2 PNG or JPEG files in {path}, {got}. Put the pictures there."
