"""What scikit-learn says about its own guesses, and no user could act on."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_regression_warning() -> Iterator[None]:
    """Keep scikit-learn from asking whether our classes are meant as numbers to fit a curve to.

    It asks where classes are more than half as many as images. Labels are values numbered by us, few of whose images
    may be left once some are held out: they are classes, however many. Other warnings pass.

    Example:
        >>> with without_regression_warning():
        ...     warnings.warn("The number of unique classes is greater than 50% of the number of samples.")
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than", category=UserWarning)
        yield
