"""Labels of the sample as channels: hard clusterings beside the soft ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def label_codes(labels: Any, n_images: int) -> NDArray[np.int64]:
    """Number the values of each label.

    Args:
        labels: (N, F) values, numbers or text, or None.
        n_images: N.

    Returns:
        (F, N) codes: equal where and only where the values are equal.
    """
    if labels is None:
        return np.zeros((0, n_images), dtype=np.int64)
    columns = [np.unique(column, return_inverse=True)[1] for column in np.asarray(labels).T]
    return np.array(columns, dtype=np.int64).reshape(len(columns), n_images)
