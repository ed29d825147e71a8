"""The handwritten digits that come with scikit-learn: small, always there, good for a first look."""

import numpy as np

from vaefrag_core.datasets.base import Factor, ImageDataset


def digits() -> ImageDataset:
    """Give the 1,797 digits of 8×8 pixels; their 17 grey levels are spread over 0…255.

    Returns:
        The data set, with the factor "digit".

    Reference:
        Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
        https://doi.org/10.24432/C50P49

    Example:
        >>> digits().image_shape
        (8, 8, 1)
    """
    from sklearn.datasets import load_digits  # slow to import, and needed only here

    found = load_digits()
    grey = np.rint(found.images * (255 / 16)).astype(np.uint8)
    factor = Factor("digit", np.asarray(found.target), tuple(str(digit) for digit in range(10)))
    return ImageDataset("digits", grey, (factor,), "UCI optical recognition of handwritten digits, by scikit-learn")
