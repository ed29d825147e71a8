"""Names for the types of numpy arrays, used throughout the core."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
RealArray = NDArray[np.floating]  # single or double precision
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ImageArray = NDArray[np.uint8]  # pixels, 0 to 255
TextArray = NDArray[np.str_]
AnyArray = NDArray[Any]  # of a file or a caller, before its type is checked
