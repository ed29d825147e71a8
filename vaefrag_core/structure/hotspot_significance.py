"""Could a hotspot be chance? Its similarity beside the highest that shuffled channels reach, and false discoveries.

The images of every channel are shuffled, each channel in its own way: what every channel tells stays, what channels
share is gone. The same search then looks for the group with the highest similarity inside. A hotspot is significant as
far as few such searches find one as high; that the hotspot is itself the pick of a search is thereby allowed for.

References:
    Phipson, B., Smyth, G. K. (2010). Permutation p-values should never be zero. Statistical Applications in Genetics
    and Molecular Biology 9(1), 39. https://doi.org/10.2202/1544-6115.1585
    Benjamini, Y., Hochberg, Y. (1995). Controlling the false discovery rate. Journal of the Royal Statistical Society B
    57(1), 289-300. https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
"""

from collections.abc import Callable

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.chance_level import shuffle_images
from vaefrag_core.structure.hotspot_groups import highest_inside
from vaefrag_core.structure.hotspots import comparable_channels
from vaefrag_core.structure.matrices import compare_channels


def shuffled(posteriors: Posteriors, seed: int) -> Posteriors:
    """Shuffle the images of every channel, each channel in its own way; copies of an image stay together.

    Args:
        posteriors: of M members on N images.
        seed: of the shuffles.

    Returns:
        Posteriors that share nothing, without labels and images.
    """
    starts = np.cumsum(posteriors.channels_of_member)[:-1]
    copies = posteriors.image_copies
    flat = shuffle_images(*posteriors.flat(), seed, copies)
    mean, logvar = ([part.T for part in np.split(array, starts)] for array in flat)
    return Posteriors(
        mean, logvar, member_ids=posteriors.member_ids, copy_of=copies, diverged=posteriors.diverged_members
    )


def highest_by_chance(
    posteriors: Posteriors,
    config: HotspotConfig,
    draws: int,
    *,
    seed: int = 0,
    threads: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FloatArray:
    """Search shuffled channels for hotspots, again and again.

    Args:
        posteriors: of M members on N images.
        config: how hotspots are looked for.
        draws: searches.
        seed: of the shuffles.
        threads: of the comparison of channels; as many as torch uses when not given.
        on_progress: called with draws done and all draws; an exception that it raises ends the work.

    Returns:
        (draws,) highest mean corrected similarity inside any group that spans enough members.
    """
    highest = np.zeros(draws)
    for draw, draw_seed in enumerate(np.random.SeedSequence(seed).generate_state(draws)):
        matrix = compare_channels(shuffled(posteriors, int(draw_seed)), threads=threads)
        channels = comparable_channels(matrix, config)
        similarity = matrix.corrected_similarity(config.measure, channels)
        highest[draw] = highest_inside(similarity, matrix.member[channels], config)
        on_progress(draw + 1, draws)
    return highest


def p_values_of(similarity: FloatArray, highest: FloatArray) -> FloatArray:
    """Return how often shuffled channels reach each similarity.

    p = (1 + draws that reach it) / (1 + draws)

    Args:
        similarity: (G,) inside each group.
        highest: (R,) what `highest_by_chance` found.

    Returns:
        (G,) p-values, 1 / (1 + R) at least.

    Example:
        >>> p_values_of(np.array([0.5, 0.1]), np.array([0.1, 0.2, 0.05])).tolist()
        [0.25, 0.75]
    """
    reached = np.asarray(highest)[:, None] >= np.asarray(similarity)[None, :]
    return np.asarray((1 + reached.sum(axis=0)) / (1 + len(highest)))


def false_discovery_rates(p_values: FloatArray) -> FloatArray:
    """Return for each p-value the least rate of false discoveries at which it counts as one.

    q_(i) = min over j ≥ i of p_(j) · G / j, in ascending order of p

    Example:
        >>> false_discovery_rates(np.array([0.01, 0.04, 0.03, 0.5])).round(3).tolist()
        [0.04, 0.053, 0.053, 0.5]
    """
    count = len(p_values)
    order = np.argsort(p_values)
    adjusted = p_values[order] * count / np.arange(1, count + 1)
    rates = np.empty(count)
    rates[order] = np.minimum.accumulate(adjusted[::-1])[::-1]
    return np.minimum(rates, 1.0)
