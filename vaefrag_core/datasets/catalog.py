"""Every data set by its name."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from vaefrag_core.config import DatasetConfig
from vaefrag_core.datasets.base import ImageDataset, Points
from vaefrag_core.datasets.circle import CIRCLE, CIRCLE_SHAPE, POINTS, circle
from vaefrag_core.datasets.digits import digits
from vaefrag_core.datasets.idx import FASHION_MNIST, MNIST, IdxSource, cache_folder, find_files, load_idx_source
from vaefrag_core.datasets.sprites import GRID_IMAGES, sprites
from vaefrag_core.errors import InvalidInputError, MissingDataError

_SPRITE_FACTORS = ("shape", "scale", "orientation", "x", "y")


@dataclass(frozen=True)
class DatasetEntry:
    """What `vaefrag datasets` says about a data set.

    Args:
        name: to be given as `--dataset`.
        description: one line.
        n_images: how many images it has.
        image_shape: height, width, channels.
        factors: what is known about every image.
        available: whether it can be used now, without a network.
        location: where it is, or what is missing and how it can be had.
    """

    name: str
    description: str
    n_images: int
    image_shape: tuple[int, int, int]
    factors: tuple[str, ...]
    available: bool
    location: str


@dataclass(frozen=True)
class _Recipe:
    description: str
    n_images: int
    image_shape: tuple[int, int, int]
    factors: tuple[str, ...]
    load: Callable[[str | None], ImageDataset]
    locate: Callable[[], tuple[bool, str]]
    takes_path: bool = False
    points: Points | None = None


def load_dataset(config: DatasetConfig) -> ImageDataset:
    """Give a data set by its name.

    Args:
        config: the name, and the folder for a data set that takes one.

    Raises:
        InvalidInputError: when there is no such name, or a path is given for nothing.
        MissingDataError: when its files are nowhere to be had.
        BrokenFileError: when one of them cannot be read.

    Example:
        >>> load_dataset(DatasetConfig(name="digits")).n_images
        1797
    """
    return _recipe_of(config).load(config.path)


def dataset_size(config: DatasetConfig) -> tuple[int, tuple[int, int, int]]:
    """Say how many images a data set has, and their height, width and channels; loads it only where files vary.

    Args:
        config: as for `load_dataset`.

    Raises:
        InvalidInputError, MissingDataError, BrokenFileError: as `load_dataset`.
    """
    recipe = _recipe_of(config)
    if recipe.takes_path:
        dataset = recipe.load(config.path)
        return dataset.n_images, dataset.image_shape
    available, location = recipe.locate()
    if not available:
        raise MissingDataError(f"The data set {config.name!r} cannot be used: {location}.")
    return recipe.n_images, recipe.image_shape


def points_of(config: DatasetConfig) -> Points | None:
    """Say how to take a data set that holds points; None of one that holds images, or of an unknown name."""
    recipe = _RECIPES.get(config.name)
    return recipe.points if recipe else None


def _recipe_of(config: DatasetConfig) -> _Recipe:
    recipe = _RECIPES.get(config.name)
    if recipe is None:
        close = difflib.get_close_matches(config.name, _RECIPES, n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise InvalidInputError(f"Expected a data set of {', '.join(_RECIPES)}, got {config.name!r}.{guess}")
    if config.path is not None and not recipe.takes_path:
        raise InvalidInputError(f"{config.name!r} takes no path, got {config.path!r}. Leave it out.")
    return recipe


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
        load=lambda path: load_idx_source(source, path),
        locate=lambda: _locate_idx(source),
        takes_path=True,
    )


def _sprites_recipe(size: int) -> _Recipe:
    return _Recipe(
        description=f"shapes with five known causes, in the manner of dSprites, {size}×{size}",
        n_images=GRID_IMAGES,
        image_shape=(size, size, 1),
        factors=_SPRITE_FACTORS,
        load=lambda path: sprites(size),
        locate=lambda: (True, "drawn when asked for"),
    )


_RECIPES = {
    "digits": _Recipe(
        description="handwritten digits, small: for a first look",
        n_images=1_797,
        image_shape=(8, 8, 1),
        factors=("digit",),
        load=lambda path: digits(),
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
        load=lambda path: circle(),
        locate=lambda: (True, "computed"),
        points=CIRCLE,
    ),
}
