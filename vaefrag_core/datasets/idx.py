"""MNIST and Fashion-MNIST, and the IDX files that they come in.

An IDX file is two zero bytes, a byte for the type, a byte for the number of axes, the length of each axis as a
big-endian 32-bit number, then the values. It may be packed by gzip.

Reference: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", 1998.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaefrag_core.array_types import ImageArray
from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.datasets.download import MAX_BYTES, fetch, unpack
from vaefrag_core.datasets.image_cache import cache_folder
from vaefrag_core.errors import BrokenFileError, MissingDataError

IMAGES = "train-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"
_UINT8 = 0x08


@dataclass(frozen=True)
class IdxSource:
    """A data set published as two IDX files, and the places where they may be.

    Args:
        name: the name listed by `vaefrag datasets`.
        factor: the name of the factor that the labels give.
        levels: the meaning of each label.
        sha256: hashes of the unpacked files, IMAGES then LABELS; mirrors and packagers pack the same content
            differently.
        mirrors: addresses of the packed files, in the order in which they are tried.
        folders: where an operating system's package puts the files.
        hint: another way to get them, in a sentence.
    """

    name: str
    factor: str
    levels: tuple[str, ...]
    sha256: tuple[str, str]
    mirrors: tuple[str, ...]
    folders: tuple[Path, ...] = ()
    hint: str = ""


MNIST = IdxSource(
    name="mnist",
    factor="digit",
    levels=tuple(str(digit) for digit in range(10)),
    sha256=(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)
FASHION_MNIST = IdxSource(
    name="fashion-mnist",
    factor="class",
    levels=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    sha256=(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    folders=(Path("/usr/share/datasets/fashion-mnist"),),
    hint="On Debian and Ubuntu, `apt install dataset-fashion-mnist` brings them.",
)


def mnist(path: str | Path | None = None) -> ImageDataset:
    """Load the 60,000 training digits of MNIST, 28×28; see `load_idx_source`."""
    return load_idx_source(MNIST, path)


def fashion_mnist(path: str | Path | None = None) -> ImageDataset:
    """Load the 60,000 training pictures of Fashion-MNIST, 28×28; see `load_idx_source`.

    Reference:
        Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
        2017, https://arxiv.org/abs/1708.07747
    """
    return load_idx_source(FASHION_MNIST, path)


def load_idx_source(source: IdxSource, path: str | Path | None = None) -> ImageDataset:
    """Load a data set from its files, downloading them into the cache if they are nowhere.

    Args:
        source: the data set.
        path: the only folder to look in. When it is None: the system's folders, then the cache, then the mirrors.

    Raises:
        MissingDataError: when the files cannot be had; the message names them and the folder to put them in.
        BrokenFileError: when a file is damaged or is not the published one.
    """
    files = find_files(source, path) or _fetch_files(source, path)
    images, codes = (
        read_idx(file, n_axes, sha256) for file, n_axes, sha256 in zip(files, (3, 1), source.sha256, strict=True)
    )
    factor = Factor(source.factor, codes.astype(np.int64), source.levels)
    return ImageDataset(source.name, images, (factor,), f"training split, {files[0].parent}")


def find_files(source: IdxSource, path: str | Path | None = None) -> tuple[Path, Path] | None:
    """Find images and labels in one folder, where `load_idx_source` looks before it tries the mirrors."""
    for folder in (*source.folders, cache_folder(source.name)) if path is None else (Path(path),):
        images, labels = _find_file(folder, IMAGES), _find_file(folder, LABELS)
        if images and labels:
            return images, labels
    return None


def read_idx(path: Path, n_axes: int, sha256: str | None = None) -> ImageArray:
    """Read an IDX file of whole numbers 0…255.

    Args:
        path: the file, packed by gzip or not.
        n_axes: the expected number of axes, 3 for images and 1 for labels.
        sha256: the expected hash of the unpacked content, in hexadecimal; None accepts any.

    Returns:
        The array, read-only.

    Raises:
        BrokenFileError: when the file is damaged or another; the message says what was expected and what it is.
    """
    try:
        with path.open("rb") as file:
            content = unpack(file.read(MAX_BYTES + 1), str(path))
    except OSError as error:
        raise BrokenFileError(f"{path}: expected a readable IDX file, got an error ({error}).") from error
    start = 4 + 4 * n_axes
    magic = bytes((0, 0, _UINT8, n_axes))
    if content[:4] != magic or len(content) < start:
        raise BrokenFileError(
            f"{path}: expected an IDX file of uint8 with {n_axes} axes, beginning {magic.hex(' ')}, got one of"
            f" {len(content):,} bytes beginning {content[:4].hex(' ') or 'with nothing'}. Fetch it again."
        )
    shape = tuple(int(length) for length in np.frombuffer(content, dtype=">u4", count=n_axes, offset=4))
    if len(content) - start != math.prod(shape):
        raise BrokenFileError(
            f"{path}: expected {math.prod(shape):,} values of shape {shape}, as its header says, got"
            f" {len(content) - start:,}. Fetch it again."
        )
    got = hashlib.sha256(content).hexdigest()
    if sha256 is not None and got != sha256:
        raise BrokenFileError(
            f"{path}: expected the published file, whose unpacked SHA-256 begins {sha256[:12]}, got {got[:12]}."
            " Fetch it again, or load other images as a data set of their own."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _find_file(folder: Path, stem: str) -> Path | None:
    return next((file for file in (folder / f"{stem}.gz", folder / stem) if file.is_file()), None)


def _fetch_files(source: IdxSource, path: str | Path | None) -> tuple[Path, Path]:
    file_names = f"{IMAGES}.gz and {LABELS}.gz"
    if path is not None:
        raise MissingDataError(
            f"{source.name!r} needs {file_names}, packed or not, and {path} does not have both. Put them there, or"
            " leave the path out to have them fetched."
        )
    folder = cache_folder(source.name)
    try:
        labels, images = (  # the small file first: a mirror that fails does so sooner
            _find_file(folder, stem) or fetch(source.mirrors, f"{stem}.gz", folder, sha256)
            for stem, sha256 in zip((LABELS, IMAGES), reversed(source.sha256), strict=True)
        )
    except OSError as error:  # a MissingDataError, or a folder that cannot be written
        raise MissingDataError(
            f"{source.name!r} needs {file_names}. {error} Put both files into {folder}, or connect to the internet."
            f" {source.hint}".rstrip()
        ) from error
    return images, labels
