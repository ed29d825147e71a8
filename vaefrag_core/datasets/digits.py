"""The handwritten digits that come with scikit-learn: small, always there, good for a first look."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.errors import MissingDataError

_TABLE = Path("datasets", "data", "digits.csv.gz")  # in scikit-learn's folder: 64 grey levels and the digit, a row each


def digits() -> ImageDataset:
    """Load the 1,797 digits of 8×8 pixels, their 17 grey levels spread over 0…255.

    Returns:
        The data set, with the factor "digit".

    Raises:
        MissingDataError: when scikit-learn is not installed.

    Reference:
        Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
        https://doi.org/10.24432/C50P49

    Example:
        >>> digits().image_shape
        (8, 8, 1)
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise MissingDataError("The digits come with scikit-learn, which is not installed: pip install scikit-learn")
    # Importing scikit-learn would take ten times as long, in every worker that trains on digits.
    table = np.loadtxt(Path(package.submodule_search_locations[0]) / _TABLE, delimiter=",")
    grey = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    factor = Factor("digit", table[:, -1].astype(np.int64), tuple(str(digit) for digit in range(10)))
    return ImageDataset("digits", grey, (factor,), "UCI optical recognition of handwritten digits, by scikit-learn")
