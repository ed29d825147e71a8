"""Arrays that are written part by part, on disk where they may be larger than memory."""

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from vaefrag_core.array_types import AnyArray


class ScratchArray:
    """An array that is written part by part, in memory or in a file without a name.

    Such a file is gone with the process that has it, however that ends.

    Args:
        shape: of the array.
        dtype: of its numbers.
        folder: on whose disk it lies; None for memory.

    Example:
        >>> array = ScratchArray((2, 3), np.uint8)
        >>> array.write((1, 1), np.array([7, 8]))
        >>> array.read().tolist()
        [[0, 0, 0], [0, 7, 8]]
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, folder: Path | None = None) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._file = None if folder is None else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lasts as long as this
        self._memory: AnyArray = np.zeros(shape if folder is None else 0, self.dtype)

    def write(self, place: tuple[int, ...], values: AnyArray) -> None:
        """Write values that lie side by side in the array.

        Args:
            place: index of the first, without the last axes where these are written whole.
            values: in the order of the array.

        Raises:
            OSError: when the disk is full.
        """
        first = int(np.ravel_multi_index(place + (0,) * (len(self.shape) - len(place)), self.shape))
        # Not by a map that can be written: a disk that is full would end the process by a signal.
        if self._file is None:
            self._memory.reshape(-1)[first : first + values.size] = values.reshape(-1)
        else:
            self._file.seek(first * self.dtype.itemsize)
            self._file.write(np.ascontiguousarray(values, dtype=self.dtype).data)

    def read(self) -> AnyArray:
        """Return the array, of which nothing can be written any more; one on disk is mapped, read-only."""
        if self._file is None:
            return self._memory
        self._file.truncate(math.prod(self.shape) * self.dtype.itemsize)
        self._file.flush()
        mapped: np.memmap[Any, Any] = np.memmap(self._file, self.dtype, "r", shape=self.shape)
        self._file.close()  # the map keeps the content
        return mapped

    def __del__(self) -> None:
        """Give the disk back of an array that was never read."""
        if self._file is not None:
            self._file.close()
