"""The catalog of data sets: what is known of each without loading it, and how it is loaded."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal

from vaefrag_core.artifacts.posterior_arrays import as_identifiers
from vaefrag_core.config import DatasetConfig
from vaefrag_core.datasets.archives import Archive
from vaefrag_core.datasets.base import ImageDataset, PointFormat
from vaefrag_core.datasets.cars3d import CARS3D, CARS3D_FACTORS, cars3d
from vaefrag_core.datasets.circle import CIRCLE_FORMAT, CIRCLE_SHAPE, POINTS, circle
from vaefrag_core.datasets.digits import digits
from vaefrag_core.datasets.dsprites import DSPRITES, DSPRITES_FACTORS, dsprites
from vaefrag_core.datasets.idx import FASHION_MNIST, MNIST, IdxSource, find_files, load_idx_source
from vaefrag_core.datasets.image_cache import cache_folder
from vaefrag_core.datasets.image_folder import ENDINGS, load_image_folder
from vaefrag_core.datasets.npz_arrays import load_npz_images
from vaefrag_core.datasets.shapes3d import SHAPES3D, SHAPES3D_FACTORS, shapes3d
from vaefrag_core.datasets.smallnorb import SMALLNORB, SMALLNORB_FACTORS, smallnorb
from vaefrag_core.datasets.sprites import GRID_IMAGES, sprites
from vaefrag_core.errors import InvalidInputError, MissingDataError, VaefragError

PathUse = Literal["no", "may", "must"]  # whether a data set's path is refused, optional or required

_SPRITE_FACTORS = ("shape", "scale", "orientation", "x", "y")


@dataclass(frozen=True)
class DatasetEntry:
    """A data set as `vaefrag datasets` lists it.

    Args:
        name: the value of `--dataset`.
        description: one line.
        n_images: the number of images; None when it depends on the user's files.
        image_shape: height, width, channels; None when they depend on the user's files.
        factors: the names of its factors.
        available: whether it can be used now, without a network.
        location: where it is, or what is missing and how to get it.
        path: whether a path is refused, optional or required.
    """

    name: str
    description: str
    n_images: int | None
    image_shape: tuple[int, int, int] | None
    factors: tuple[str, ...]
    available: bool
    location: str
    path: PathUse


@dataclass(frozen=True)
class _Definition:
    description: str
    n_images: int | None
    image_shape: tuple[int, int, int] | None
    factors: tuple[str, ...]
    load: Callable[[DatasetConfig], ImageDataset]
    availability: Callable[[], tuple[bool, str]]
    path: PathUse = "no"
    resizable: bool = False  # to `image_size`
    point_format: PointFormat | None = None


def load_dataset(config: DatasetConfig) -> ImageDataset:
    """Load a data set by its name.

    Args:
        config: the name, with the path or image size of a data set that takes them, and labels that are identifiers
            beside those that its file names.

    Raises:
        InvalidInputError: when there is no such name, a setting is missing or has no effect, an identifier is no label,
            or nothing can be learned from the files. `fields` names the setting at fault.
        MissingDataError: when files are missing and cannot be downloaded.
        BrokenFileError: when a file cannot be read.

    Example:
        >>> load_dataset(DatasetConfig(name="digits")).n_images
        1797
    """
    definition = _definition_of(config)
    try:
        dataset = definition.load(config)
    except VaefragError as error:
        error.fields = error.fields or {"dataset.path" if config.path else "dataset.name": str(error)}
        raise
    return replace(dataset, identifiers=_identifiers(config, dataset.factor_names(), dataset.identifiers))


def dataset_identifiers(config: DatasetConfig) -> tuple[str, ...]:
    """Return the labels that are identifiers: those that the config names, and those that the data set's file names.

    The data set is loaded only if its labels depend on the user's files.

    Args:
        config: the data set's name and settings, as for `load_dataset`.

    Raises:
        InvalidInputError, MissingDataError, BrokenFileError: as `load_dataset`.
    """
    definition = _definition_of(config)
    if definition.n_images is None:
        return tuple(load_dataset(config).identifiers)
    return _identifiers(config, definition.factors)


def _identifiers(config: DatasetConfig, labels: tuple[str, ...], own: Sequence[str] = ()) -> tuple[str, ...]:
    try:
        return as_identifiers((*own, *config.identifiers), labels)
    except InvalidInputError as error:
        raise _setting_error("identifiers", str(error)) from None


def dataset_size(config: DatasetConfig) -> tuple[int, tuple[int, int, int]]:
    """Return the number of images of a data set, and their height, width and channels.

    The data set is loaded only if these depend on the user's files.

    Args:
        config: the data set's name and settings, as for `load_dataset`.

    Raises:
        InvalidInputError, MissingDataError, BrokenFileError: as `load_dataset`.
    """
    definition = _definition_of(config)
    if definition.n_images is None or definition.image_shape is None or definition.path != "no":
        dataset = load_dataset(config)
        return dataset.n_images, dataset.image_shape
    available, location = definition.availability()
    if not available:
        sentence = f"The data set {config.name!r} cannot be used: {location}."
        raise MissingDataError(sentence, {"dataset.name": sentence})
    return definition.n_images, definition.image_shape


def dataset_settings(name: str) -> frozenset[str]:
    """Return the settings of a `DatasetConfig` that a data set uses besides its name; none for an unknown name."""
    definition = _DEFINITIONS.get(name)
    if definition is None:
        return frozenset()
    takes = {"path": definition.path != "no", "image_size": definition.resizable}
    return frozenset(setting for setting, taken in takes.items() if taken)


def dataset_remarks(config: DatasetConfig) -> Sequence[str]:
    """Return the remarks on a data set of the user's own files; other data sets have none.

    Raises:
        InvalidInputError, MissingDataError, BrokenFileError: as `load_dataset`.
    """
    return load_dataset(config).remarks if _definition_of(config).path == "must" else ()


def point_format(config: DatasetConfig) -> PointFormat | None:
    """Return the format of a data set of points; None for one of images, or for an unknown name."""
    definition = _DEFINITIONS.get(config.name)
    return definition.point_format if definition else None


def _definition_of(config: DatasetConfig) -> _Definition:
    definition = _DEFINITIONS.get(config.name)
    if definition is None:
        close = difflib.get_close_matches(config.name, _DEFINITIONS, n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise _setting_error("name", f"Expected a data set of {', '.join(_DEFINITIONS)}, got {config.name!r}.{guess}")
    if config.path is not None and definition.path == "no":
        raise _setting_error("path", f"{config.name!r} takes no path, got {config.path!r}. Leave it out.")
    if config.path is None and definition.path == "must":
        raise _setting_error("path", f"{config.name!r} needs {definition.availability()[1]}.")
    if config.image_size is not None and not definition.resizable:
        raise _setting_error(
            "image_size", f"{config.name!r} keeps its size, got image size {config.image_size}. Leave it out."
        )
    return definition


def _setting_error(setting: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, {f"dataset.{setting}": sentence})


def describe_datasets() -> list[DatasetEntry]:
    """List the data sets, without loading any."""
    entries = []
    for name, definition in _DEFINITIONS.items():
        available, location = definition.availability()
        entries.append(
            DatasetEntry(
                name=name,
                description=definition.description,
                n_images=definition.n_images,
                image_shape=definition.image_shape,
                factors=definition.factors,
                available=available,
                location=location,
                path=definition.path,
            )
        )
    return entries


def _digits_availability() -> tuple[bool, str]:
    if find_spec("sklearn") is None:
        return False, "needs scikit-learn: pip install scikit-learn"
    return True, "comes with scikit-learn"


def _idx_availability(source: IdxSource) -> tuple[bool, str]:
    files = find_files(source)
    if files is not None:
        return True, str(files[0].parent)
    return False, f"fetched into {cache_folder(source.name)} when first used. {source.hint}".rstrip()


def _idx_definition(source: IdxSource, description: str) -> _Definition:
    return _Definition(
        description=description,
        n_images=60_000,
        image_shape=(28, 28, 1),
        factors=(source.factor,),
        load=lambda config: load_idx_source(source, config.path),
        availability=lambda: _idx_availability(source),
        path="may",
    )


def _sprites_definition(size: int) -> _Definition:
    return _Definition(
        description=f"shapes with five known causes, in the manner of dSprites, {size}×{size}",
        n_images=GRID_IMAGES,
        image_shape=(size, size, 1),
        factors=_SPRITE_FACTORS,
        load=lambda config: sprites(size),
        availability=lambda: (True, "drawn when asked for"),
    )


def _archive_definition(
    archive: Archive,
    description: str,
    n_images: int,
    image_shape: tuple[int, int, int],
    factors: tuple[str, ...],
    load: Callable[[str | None], ImageDataset],
) -> _Definition:
    return _Definition(
        description=description,
        n_images=n_images,
        image_shape=image_shape,
        factors=factors,
        load=lambda config: load(config.path),
        availability=archive.availability,
        path="may",
    )


_DEFINITIONS = {
    "digits": _Definition(
        description="handwritten digits, small: for a first look",
        n_images=1_797,
        image_shape=(8, 8, 1),
        factors=("digit",),
        load=lambda config: digits(),
        availability=_digits_availability,
    ),
    "mnist": _idx_definition(MNIST, "handwritten digits, training split"),
    "fashion-mnist": _idx_definition(FASHION_MNIST, "pictures of clothes, training split"),
    "sprites": _sprites_definition(64),
    "sprites-32": _sprites_definition(32),
    "circle": _Definition(
        description="points of SO(2), no pictures: takes the gaussian likelihood",
        n_images=POINTS,
        image_shape=CIRCLE_SHAPE,
        factors=("angle",),
        load=lambda config: circle(),
        availability=lambda: (True, "computed"),
        point_format=CIRCLE_FORMAT,
    ),
    "dsprites": _archive_definition(
        DSPRITES, "white shapes on black", 737_280, (64, 64, 1), DSPRITES_FACTORS, dsprites
    ),
    "shapes3d": _archive_definition(SHAPES3D, "a thing in a room", 480_000, (64, 64, 3), SHAPES3D_FACTORS, shapes3d),
    "cars3d": _archive_definition(CARS3D, "cars seen from all sides", 17_568, (64, 64, 3), CARS3D_FACTORS, cars3d),
    "smallnorb": _archive_definition(
        SMALLNORB, "toys under six lights", 48_600, (64, 64, 1), SMALLNORB_FACTORS, smallnorb
    ),
    "images": _Definition(
        description="PNG and JPEG files of your own",
        n_images=None,
        image_shape=None,
        factors=("class",),
        load=lambda config: load_image_folder(config.path or "", config.image_size),
        availability=lambda: (True, f"a folder or a zip archive of {', '.join(ENDINGS)} files, given as a path"),
        path="must",
        resizable=True,
    ),
    "npz": _Definition(
        description="arrays of your own",
        n_images=None,
        image_shape=None,
        factors=("its labels",),
        load=lambda config: load_npz_images(config.path or ""),
        availability=lambda: (True, "an .npz or .npy file, given as a path"),
        path="must",
    ),
}
