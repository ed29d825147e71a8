"""The images of a sample that a page compares two by two, or draws: of many, a few that are drawn from them."""

import math

import numpy as np
from numpy.typing import NDArray

from vaefrag.queries import channel_posterior
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.datasets.sampling import draw_without_replacement
from vaefrag_core.measures.sampling_error import PairErrors, pair_errors
from vaefrag_core.synthesis.coefficient_blocks import Block, CoefficientBlocks

MOST_IMAGES = 2_000


def shown_images(n_images: int) -> NDArray[np.int64]:
    """Return the images that are compared two by two, or drawn, on a page: all, or as many as it can take.

    Args:
        n_images: N.

    Returns:
        Positions in the sample, ascending, the same at every call.
    """
    return np.sort(draw_without_replacement(n_images, min(n_images, MOST_IMAGES), seed=0))


def errors_of_pair(posteriors: Posteriors, u: int, v: int) -> PairErrors:
    """Return the standard errors of what two channels tell, over the choice of images.

    Of many images they are those on a few of them, which fall with the square root of their number.
    """
    images = shown_images(posteriors.n_images)
    n_images = len(images)
    channels = [channel_posterior(posteriors, c) for c in (u, v)]
    mean, logvar = (np.stack(arrays)[:, images] for arrays in zip(*channels, strict=True))
    coefficients = CoefficientBlocks(mean, logvar)
    every = slice(0, n_images)
    out: Block = np.empty((2, n_images, n_images), coefficients.dtype)  # type: ignore[assignment]
    errors = pair_errors(*coefficients.fill(out, slice(0, 2), every, every))
    scale = math.sqrt(n_images / posteriors.n_images)
    return PairErrors(
        bits=(scale * errors.bits[0], scale * errors.bits[1]),
        joint_bits=scale * errors.joint_bits,
        shared_bits=scale * errors.shared_bits,
        nmi=scale * errors.nmi,
        vi_bits=scale * errors.vi_bits,
    )
