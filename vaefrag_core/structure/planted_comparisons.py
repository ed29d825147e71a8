"""Planted ensembles of which one member departs from the others, and pairs of ensembles that share some fragments."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vaefrag_core.array_types import IntArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.structure.planted_ensembles import FRAGMENT_LOGVAR, Planted, plant

CLEAR_NOISE = 0.1  # of the clearest member's channels, where fragments spread over −2 … 2


def plant_departures(planted: Planted, seed: int) -> tuple[Posteriors, int, int]:
    """Draw an ensemble of which one member holds none of the fragments, and another tells them most clearly.

    Args:
        planted: the ensemble; its noise, of the other members, is `CLEAR_NOISE` at least.
        seed: of everything that is drawn.

    Returns:
        The posteriors, the number of the member that holds other fragments in place of the common ones, and the number
        of the member that holds all with the least noise.
    """
    rng = np.random.default_rng([seed, 1])
    common = planted.fragments
    doubled = replace(planted, fragments=2 * common, noise=CLEAR_NOISE)
    posteriors, truth = plant(doubled, seed)
    odd, clearest = (int(m) for m in rng.permutation(planted.members)[:2])
    more_noise = np.sqrt(max(planted.noise**2 - CLEAR_NOISE**2, 0.0))
    means, logvars = [], []
    for m, of in enumerate(_by_member(truth, posteriors)):
        kept = np.flatnonzero(of >= common if m == odd else of < common)
        mean, logvar = posteriors.mean[m][:, kept], posteriors.logvar[m][:, kept]
        if m != clearest:
            scale = np.exp((logvar - FRAGMENT_LOGVAR) / 2)
            mean = mean + np.where(of[kept] >= 0, more_noise * scale * rng.normal(size=mean.shape), 0.0)
        means.append(mean)
        logvars.append(logvar)
    return Posteriors(means, logvars), odd, clearest


def plant_pair(
    planted: Planted, first: Sequence[int], second: Sequence[int], seed: int
) -> tuple[tuple[Posteriors, IntArray], tuple[Posteriors, IntArray]]:
    """Draw two ensembles on one sample.

    Args:
        planted: each of the two; its `fragments` counts those of both.
        first: the fragments that the members of the first hold.
        second: those of the second.
        seed: of everything that is drawn.

    Returns:
        Of each ensemble the posteriors and the fragment of each channel, as `plant` returns them.
    """
    posteriors, truth = plant(replace(planted, members=2 * planted.members), seed)
    of_members = _by_member(truth, posteriors)
    halves = []
    for start, fragments in ((0, first), (planted.members, second)):
        members = range(start, start + planted.members)
        kept = [np.flatnonzero(np.isin(of_members[m], [-1, *fragments])) for m in members]
        means, logvars = (
            [arrays[m][:, own] for m, own in zip(members, kept, strict=True)]
            for arrays in (posteriors.mean, posteriors.logvar)
        )
        of = np.concatenate([of_members[m][own] for m, own in zip(members, kept, strict=True)])
        halves.append((Posteriors(means, logvars, sample_id=f"planted {seed}"), of))
    return halves[0], halves[1]


def _by_member(values: IntArray, posteriors: Posteriors) -> list[IntArray]:
    return [np.asarray(part) for part in np.split(values, np.cumsum(posteriors.channels_of_member)[:-1])]
