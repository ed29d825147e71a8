"""The seeded sample of images on which all channels of an ensemble are compared."""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import ImageArray, IntArray, TextArray
from vaefrag_core.config import FingerprintConfig
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.sampling import draw_without_replacement
from vaefrag_core.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class FingerprintSample:
    """N images drawn from a data set, in the order of the draw.

    Args:
        index: (N,) where they stand in the data set.
        images: (N, H, W) or (N, H, W, 3) uint8, points drawn.
        labels: (N, F) text, the level of each factor.
        label_names: the F factors.
        sample_id: names the sample and its order: data set, size, seed and a hash of the images.
        duplicates: images that are identical, pixel for pixel, to an earlier one.
        ceiling_bits: the most information about the sample that any channel can carry, log2 N without duplicates.
    """

    index: IntArray
    images: ImageArray
    labels: TextArray
    label_names: tuple[str, ...]
    sample_id: str
    duplicates: int
    ceiling_bits: float

    @property
    def message(self) -> str | None:
        """What a reader of the results should know about duplicates; None without any."""
        if not self.duplicates:
            return None
        n_images = len(self.index)
        are = "is" if self.duplicates == 1 else "are"
        return (
            f"{self.duplicates:,} of {n_images:,} images {are} identical, pixel for pixel, to an earlier one of the"
            " fingerprint sample. No channel can tell them apart: the most that can be measured is"
            f" {self.ceiling_bits:.2f} bits, not log2 {n_images:,} = {math.log2(n_images):.2f}."
        )


def draw_fingerprint(dataset: ImageDataset, config: FingerprintConfig) -> FingerprintSample:
    """Draw the fingerprint sample, without replacement.

    With n_g copies of the g-th distinct image no channel carries more than

        log2 N − (1/N) Σ_g n_g log2 n_g   bits.

    Args:
        dataset: what to draw from.
        config: how many images, and which draw.

    Returns:
        The sample, the same on every machine; a smaller one with the same seed is the beginning of it.

    Raises:
        InvalidInputError: when the data set has fewer images than are asked for.

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
    values = np.ascontiguousarray(dataset.images[index])
    columns = [factor.texts(index) for factor in dataset.factors]
    labels = np.stack(columns, axis=1) if columns else np.empty((config.size, 0), dtype=np.str_)
    copies = Counter(hashlib.sha256(image.tobytes()).digest() for image in values)
    lost_bits = sum(count * math.log2(count) for count in copies.values()) / config.size
    content = hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).hexdigest()[:12]
    return FingerprintSample(
        index=index,
        images=dataset.pictures(index),
        labels=labels,
        label_names=dataset.factor_names(),
        sample_id=f"{dataset.name}, {config.size} images, seed {config.seed}, {content}",
        duplicates=config.size - len(copies),
        ceiling_bits=math.log2(config.size) - lost_bits,
    )
