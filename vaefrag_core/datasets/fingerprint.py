"""The seeded sample of images on which all channels of an ensemble are compared."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaefrag_core.array_types import AnyArray, ImageArray, IntArray, TextArray
from vaefrag_core.artifacts.image_copies import copies_message, count_copies, entropy_bits, equal_images
from vaefrag_core.artifacts.scratch_arrays import ScratchArray
from vaefrag_core.config import FingerprintConfig
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.sampling import draw_without_replacement
from vaefrag_core.errors import InvalidInputError

BATCH_IMAGES = 500  # read at a time


@dataclass(frozen=True, eq=False)
class FingerprintSample:
    """N images drawn from a data set, in the order of the draw.

    Args:
        index: (N,) positions of the images in the data set.
        images: (N, H, W) or (N, H, W, 3) uint8; of points, the pictures drawn of them.
        labels: (N, F) text, the level of each factor.
        label_names: the names of the F factors.
        sample_id: identifies the sample and its order: data set, size, seed and a hash of the images.
        copy_of: (N,) the position in the sample of the first image that each one equals, pixel for pixel.
        identifiers: names of the factors that name images rather than tell something of them.
    """

    index: IntArray
    images: ImageArray
    labels: TextArray
    label_names: tuple[str, ...]
    sample_id: str
    copy_of: IntArray
    identifiers: tuple[str, ...] = ()

    @property
    def duplicates(self) -> int:
        """Images that are identical, pixel for pixel, to an earlier one."""
        return count_copies(self.copy_of)

    @property
    def ceiling_bits(self) -> float:
        """The most information about the sample that any channel can carry, log2 N without duplicates."""
        return entropy_bits(self.copy_of)

    @property
    def message(self) -> str | None:
        """What a reader of the results should know about duplicates; None without any."""
        return copies_message(self.copy_of)


def draw_fingerprint(
    dataset: ImageDataset, config: FingerprintConfig, *, scratch: Path | None = None
) -> FingerprintSample:
    """Draw the fingerprint sample, without replacement.

    Args:
        dataset: the data set to draw from.
        config: number of images and seed.
        scratch: a folder on whose disk the images are kept instead of memory, in a file that has no name there and is
            gone with the sample.

    Returns:
        The sample, the same on every machine; a smaller sample with the same seed is its beginning.

    Raises:
        InvalidInputError: when the data set has fewer images.

    Reference:
        Murphy, Dillavou, Bassett, "Comparing the information content of probabilistic representation spaces", 2024,
        https://arxiv.org/abs/2405.21042

    Example:
        >>> from vaefrag_core.datasets.sprites import sprites
        >>> sample = draw_fingerprint(sprites(32), FingerprintConfig(size=2, seed=0))
        >>> sample.label_names
        ('shape', 'scale', 'orientation', 'x', 'y')
    """
    if config.size > dataset.n_images:
        raise InvalidInputError(
            f"The fingerprint asks for {config.size:,} images; {dataset.name!r} has {dataset.n_images:,}. Lower the"
            " fingerprint size."
        )
    index = draw_without_replacement(dataset.n_images, config.size, config.seed)
    digest = hashlib.sha256(f"{(config.size, *dataset.images.shape[1:])}".encode())
    pictures: list[ScratchArray] = []

    def read() -> Iterator[AnyArray]:
        for first in range(0, config.size, BATCH_IMAGES):
            part = index[first : first + BATCH_IMAGES]
            values = np.ascontiguousarray(dataset.images[part])
            digest.update(values.tobytes())
            drawn = dataset.pictures(part)
            if not pictures:
                pictures.append(ScratchArray((config.size, *drawn.shape[1:]), np.uint8, scratch))
            pictures[0].write((first,), drawn)
            yield from values

    copy_of = equal_images(read())
    columns = [factor.texts(index) for factor in dataset.factors]
    labels = np.stack(columns, axis=1) if columns else np.empty((config.size, 0), dtype=np.str_)
    return FingerprintSample(
        index=index,
        images=pictures[0].read(),
        labels=labels,
        label_names=dataset.factor_names(),
        sample_id=f"{dataset.name}, {config.size} images, seed {config.seed}, {digest.hexdigest()[:12]}",
        copy_of=copy_of,
        identifiers=tuple(dataset.identifiers),
    )
