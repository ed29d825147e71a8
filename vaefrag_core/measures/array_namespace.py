"""One formula for numpy arrays and for tensors: the module whose functions suit an array.

Formulas that pages need are written with it, since pages never load torch. It stands beside the array API standard,
which numpy implements and torch does not yet.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vaefrag_core.array_types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

Numbers = TypeVar("Numbers", FloatArray, "Tensor")


def array_namespace(array: Any) -> Any:
    """Return numpy for its arrays and scalars, and torch for tensors.

    Args:
        array: an array, a numpy scalar or a tensor.

    Returns:
        The module. Functions that both have under one name and signature: abs, exp, expm1, finfo, log1p, sinh,
        square, where, zeros, zeros_like.

    Example:
        >>> array_namespace(np.zeros(2)).__name__
        'numpy'
    """
    if isinstance(array, np.ndarray | np.generic):
        return np
    import torch  # loaded already by whoever made the tensor

    return torch
