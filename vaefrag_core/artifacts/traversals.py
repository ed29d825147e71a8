"""The pictures that channels paint as they are moved."""

from dataclasses import dataclass
from pathlib import Path

from vaefrag_core.array_types import FloatArray, ImageArray, IntArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, reports_damage, save_arrays


@dataclass(frozen=True, eq=False)
class Traversals:
    """Traversals of every channel: base images with that one channel moved across its range.

    Args:
        images: (C, K, T, H, W) or (C, K, T, H, W, 3) uint8: K base images, T values.
        values: (C, T) the values, ascending, in the latent units of the channel.
        base: (K,) positions of the base images in the fingerprint sample.
    """

    images: ImageArray
    values: FloatArray
    base: IntArray

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, images=self.images, values=self.values, base=self.base)

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "Traversals":
        """Read what `save` wrote; the images stay on disk, memory-mapped."""
        arrays = load_arrays(folder, "values", "base") | load_arrays(folder, "images", mmap=True)
        check_shapes(folder, arrays, values="C T", base="K", images="C K T *")
        return cls(**arrays)
