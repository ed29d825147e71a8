"""Every data set by its name."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from vaefrag_core.config import DatasetConfig
from vaefrag_core.datasets.archives import Archive
from vaefrag_core.datasets.base import ImageDataset, Points
from vaefrag_core.datasets.cars3d import CARS3D, CARS3D_FACTORS, cars3d
from vaefrag_core.datasets.circle import CIRCLE, CIRCLE_SHAPE, POINTS, circle
from vaefrag_core.datasets.digits import digits
from vaefrag_core.datasets.dsprites import DSPRITES, DSPRITES_FACTORS, dsprites
from vaefrag_core.datasets.idx import FASHION_MNIST, MNIST, IdxSource, cache_folder, find_files, load_idx_source
from vaefrag_core.datasets.image_folder import ENDINGS, images
from vaefrag_core.datasets.npz_arrays import arrays
from vaefrag_core.datasets.shapes3d import SHAPES3D, SHAPES3D_FACTORS, shapes3d
from vaefrag_core.datasets.smallnorb import SMALLNORB, SMALLNORB_FACTORS, smallnorb
from vaefrag_core.datasets.sprites import GRID_IMAGES, sprites
from vaefrag_core.errors import InvalidInputError, MissingDataError, VaefragError

TakesPath = Literal["no", "may", "must"]

_SPRITE_FACTORS = ("shape", "scale", "orientation", "x", "y")


@dataclass(frozen=True)
class DatasetEntry:
    """What `vaefrag datasets` says about a data set.

    Args:
        name: to be given as `--dataset`.
        description: one line.
        n_images: how many images it has; None when its files tell.
        image_shape: height, width, channels; None when its files tell.
        factors: what is known about every image.
        available: whether it can be used now, without a network.
        location: where it is, or what is missing and how it can be had.
        path: whether a path is refused, taken or needed.
    """

    name: str
    description: str
    n_images: int | None
    image_shape: tuple[int, int, int] | None
    factors: tuple[str, ...]
    available: bool
    location: str
    path: TakesPath


@dataclass(frozen=True)
class _Recipe:
    description: str
    n_images: int | None
    image_shape: tuple[int, int, int] | None
    factors: tuple[str, ...]
    load: Callable[[DatasetConfig], ImageDataset]
    locate: Callable[[], tuple[bool, str]]
    path: TakesPath = "no"
    scales: bool = False  # takes an image size
    points: Points | None = None


def load_dataset(config: DatasetConfig) -> ImageDataset:
    """Give a data set by its name.

    Args:
        config: the name, and the path for a data set that takes one.

    Raises:
        InvalidInputError: when there is no such name, a path is given for nothing or not given where it is needed,
            or its files do not hold what can be trained on. `fields` says which setting is at fault.
        MissingDataError: when its files are nowhere to be had.
        BrokenFileError: when one of them cannot be read.

    Example:
        >>> load_dataset(DatasetConfig(name="digits")).n_images
        1797
    """
    recipe = _recipe_of(config)
    try:
        return recipe.load(config)
    except VaefragError as error:
        error.fields = error.fields or {"dataset.path" if config.path else "dataset.name": str(error)}
        raise


def dataset_size(config: DatasetConfig) -> tuple[int, tuple[int, int, int]]:
    """Say how many images a data set has, and their height, width and channels; loads it only where files vary.

    Args:
        config: as for `load_dataset`.

    Raises:
        InvalidInputError, MissingDataError, BrokenFileError: as `load_dataset`.
    """
    recipe = _recipe_of(config)
    if recipe.n_images is None or recipe.image_shape is None or recipe.path != "no":
        dataset = load_dataset(config)
        return dataset.n_images, dataset.image_shape
    available, location = recipe.locate()
    if not available:
        sentence = f"The data set {config.name!r} cannot be used: {location}."
        raise MissingDataError(sentence, {"dataset.name": sentence})
    return recipe.n_images, recipe.image_shape


def settings_of(name: str) -> frozenset[str]:
    """Name the settings of a `DatasetConfig` that a data set reads besides its name; none of an unknown one."""
    recipe = _RECIPES.get(name)
    if recipe is None:
        return frozenset()
    return frozenset([*(["path"] if recipe.path != "no" else []), *(["image_size"] if recipe.scales else [])])


def remarks_on(config: DatasetConfig) -> Sequence[str]:
    """Give sentences that whoever trains on someone's own files should read; other data sets have none.

    Raises:
        InvalidInputError, MissingDataError, BrokenFileError: as `load_dataset`.
    """
    return load_dataset(config).remarks if _recipe_of(config).path == "must" else ()


def points_of(config: DatasetConfig) -> Points | None:
    """Say how to take a data set that holds points; None of one that holds images, or of an unknown name."""
    recipe = _RECIPES.get(config.name)
    return recipe.points if recipe else None


def _recipe_of(config: DatasetConfig) -> _Recipe:
    recipe = _RECIPES.get(config.name)
    if recipe is None:
        close = difflib.get_close_matches(config.name, _RECIPES, n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise _wrong("name", f"Expected a data set of {', '.join(_RECIPES)}, got {config.name!r}.{guess}")
    if config.path is not None and recipe.path == "no":
        raise _wrong("path", f"{config.name!r} takes no path, got {config.path!r}. Leave it out.")
    if config.path is None and recipe.path == "must":
        raise _wrong("path", f"{config.name!r} needs {recipe.locate()[1]}.")
    if config.image_size is not None and not recipe.scales:
        raise _wrong("image_size", f"{config.name!r} keeps its size, got image size {config.image_size}. Leave it out.")
    return recipe


def _wrong(setting: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, {f"dataset.{setting}": sentence})


def describe_datasets() -> list[DatasetEntry]:
    """List the data sets, without loading any."""
    entries = []
    for name, recipe in _RECIPES.items():
        available, location = recipe.locate()
        entries.append(
            DatasetEntry(
                name=name,
                description=recipe.description,
                n_images=recipe.n_images,
                image_shape=recipe.image_shape,
                factors=recipe.factors,
                available=available,
                location=location,
                path=recipe.path,
            )
        )
    return entries


def _locate_digits() -> tuple[bool, str]:
    if find_spec("sklearn") is None:
        return False, "needs scikit-learn: pip install scikit-learn"
    return True, "comes with scikit-learn"


def _locate_idx(source: IdxSource) -> tuple[bool, str]:
    files = find_files(source)
    if files is not None:
        return True, str(files[0].parent)
    return False, f"fetched into {cache_folder(source)} when first used. {source.hint}".rstrip()


def _idx_recipe(source: IdxSource, description: str) -> _Recipe:
    return _Recipe(
        description=description,
        n_images=60_000,
        image_shape=(28, 28, 1),
        factors=(source.factor,),
        load=lambda config: load_idx_source(source, config.path),
        locate=lambda: _locate_idx(source),
        path="may",
    )


def _sprites_recipe(size: int) -> _Recipe:
    return _Recipe(
        description=f"shapes with five known causes, in the manner of dSprites, {size}×{size}",
        n_images=GRID_IMAGES,
        image_shape=(size, size, 1),
        factors=_SPRITE_FACTORS,
        load=lambda config: sprites(size),
        locate=lambda: (True, "drawn when asked for"),
    )


def _archive_recipe(
    archive: Archive,
    description: str,
    n_images: int,
    image_shape: tuple[int, int, int],
    factors: tuple[str, ...],
    load: Callable[[str | None], ImageDataset],
) -> _Recipe:
    return _Recipe(
        description=description,
        n_images=n_images,
        image_shape=image_shape,
        factors=factors,
        load=lambda config: load(config.path),
        locate=archive.locate,
        path="may",
    )


_RECIPES = {
    "digits": _Recipe(
        description="handwritten digits, small: for a first look",
        n_images=1_797,
        image_shape=(8, 8, 1),
        factors=("digit",),
        load=lambda config: digits(),
        locate=_locate_digits,
    ),
    "mnist": _idx_recipe(MNIST, "handwritten digits, training split"),
    "fashion-mnist": _idx_recipe(FASHION_MNIST, "pictures of clothes, training split"),
    "sprites": _sprites_recipe(64),
    "sprites-32": _sprites_recipe(32),
    "circle": _Recipe(
        description="points of SO(2), no pictures: takes the gaussian likelihood",
        n_images=POINTS,
        image_shape=CIRCLE_SHAPE,
        factors=("angle",),
        load=lambda config: circle(),
        locate=lambda: (True, "computed"),
        points=CIRCLE,
    ),
    "dsprites": _archive_recipe(DSPRITES, "white shapes on black", 737_280, (64, 64, 1), DSPRITES_FACTORS, dsprites),
    "shapes3d": _archive_recipe(SHAPES3D, "a thing in a room", 480_000, (64, 64, 3), SHAPES3D_FACTORS, shapes3d),
    "cars3d": _archive_recipe(CARS3D, "cars seen from all sides", 17_568, (64, 64, 3), CARS3D_FACTORS, cars3d),
    "smallnorb": _archive_recipe(SMALLNORB, "toys under six lights", 48_600, (64, 64, 1), SMALLNORB_FACTORS, smallnorb),
    "images": _Recipe(
        description="PNG and JPEG files of your own",
        n_images=None,
        image_shape=None,
        factors=("class",),
        load=lambda config: images(config.path or "", config.image_size),
        locate=lambda: (True, f"a folder or a zip archive of {', '.join(ENDINGS)} files, given as a path"),
        path="must",
        scales=True,
    ),
    "npz": _Recipe(
        description="arrays of your own",
        n_images=None,
        image_shape=None,
        factors=("its labels",),
        load=lambda config: arrays(config.path or ""),
        locate=lambda: (True, "an .npz or .npy file, given as a path"),
        path="must",
    ),
}
