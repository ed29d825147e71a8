"""Do hotspots come from the axes that members chose? The same search among members whose axes are turned at random.

Members may tell the same of the images together and yet cut it into channels each in its own way. To see how much of a
hotspot such members would show, the live channels of every member are turned by a random orthogonal matrix R of its
own, drawn evenly among all,

    μ' = R μ,    σ'² = (R ∘ R) σ²,    after each channel has been stretched to a total variance of 1,

var(μ) + mean(σ²) = 1 being what the prior of a VAE makes of a channel, in whose units all directions are alike. σ'² is
the diagonal of the turned covariance: the variance of each new axis on its own, exactly.

Turning evens out what channels tell, and channels of other bits show other similarities whatever they share. So the
noise of each turned channel is scaled until it tells as many bits as the channel of the same rank in its member: what
is left to differ is which axes were taken.

References:
    Stewart, G. W. (1980). The efficient generation of random orthogonal matrices with an application to condition
    estimators. SIAM Journal on Numerical Analysis 17(3), 403-409. https://doi.org/10.1137/0717034
    Rolinek, M., Zietlow, D., Martius, G. (2019). Variational autoencoders pursue PCA directions (by accident).
    https://arxiv.org/abs/1812.06775
"""

from collections.abc import Callable

import numpy as np
import torch

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Posteriors, RotatedSearches
from vaefrag_core.config import HotspotConfig
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.information import information_bits_from_overlap
from vaefrag_core.structure.hotspots import comparable_channels, hotspot_of_channels
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.similarity_inside import similarity_inside

MOST_MATCHED_IMAGES = 128  # on which bits are matched: they differ from those on all images by a few hundredths
MATCHING_STEPS = 3  # each leaves a small part of the gap
LARGEST_STEP = 4.0  # of ln σ²


def search_rotated(
    posteriors: Posteriors,
    matrix: ChannelMatrix,
    config: HotspotConfig,
    draws: int,
    *,
    seed: int = 0,
    threads: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> RotatedSearches:
    """Search for hotspots among members whose axes are turned at random, again and again.

    Args:
        posteriors: of M members on N images.
        matrix: the comparison of their channels.
        config: how hotspots are looked for.
        draws: searches.
        seed: of the turns.
        threads: of the comparison of channels; as many as torch uses when not given.
        on_progress: called with draws done and all draws; an exception that it raises ends the work.

    Returns:
        What each search shows. The same seed gives the same, whatever the threads.
    """
    live = comparable_channels(matrix, config)
    of_live_member = np.unique(matrix.member[live], return_counts=True)[1]
    inside: list[FloatArray] = [np.zeros(0)] * draws
    channels = np.zeros(draws, dtype=np.int64)
    for draw, rng in enumerate(np.random.default_rng(seed).spawn(draws)):
        if len(live):
            turned = compare_channels(rotated(posteriors, live, rng), threads=threads)
            hotspot = hotspot_of_channels(turned, config)
            groups = [np.flatnonzero(hotspot == number) for number in range(hotspot.max() + 1)]
            inside[draw] = np.sort(similarity_inside(turned, groups, config.measure))[::-1]
            channels[draw] = np.count_nonzero(hotspot >= 0)
        on_progress(draw + 1, draws)
    by_rank = np.zeros((draws, max((len(values) for values in inside), default=0) or 1))
    for draw, values in enumerate(inside):
        by_rank[draw, : len(values)] = values
    return RotatedSearches(by_rank, channels, int((of_live_member > 1).sum()))


def rotated(posteriors: Posteriors, live: IntArray, rng: np.random.Generator) -> Posteriors:
    """Turn the live channels of every member by a random orthogonal matrix of its own, and match their bits.

    Args:
        posteriors: of M members on N images.
        live: flat indices of the channels that are turned; the others are left out.
        rng: draws the matrices, and the images on which bits are matched.

    Returns:
        Posteriors of the members that have live channels, without labels and images.
    """
    mean, logvar = (array[live] for array in posteriors.flat())
    member = posteriors.channel_names[live, 0]
    noise = np.exp(np.clip(logvar, -80, 80))
    # The median, as a few posteriors that are far too wide say nothing of the others.
    scale = np.sqrt(mean.var(axis=1) + np.median(noise, axis=1))[:, None]
    mean, noise = (mean - mean.mean(axis=1, keepdims=True)) / scale, noise / scale**2
    images = np.sort(rng.permutation(mean.shape[1])[:MOST_MATCHED_IMAGES])
    bits = _bits(mean[:, images], np.log(noise[:, images]))
    target = np.empty(len(live))
    groups = [np.flatnonzero(member == number) for number in np.unique(member)]
    for group in groups:
        turn = random_orthogonal(len(group), rng)
        mean[group], noise[group] = turn @ mean[group], turn**2 @ noise[group]
    turned_bits = _bits(mean[:, images], np.log(noise[:, images]))
    for group in groups:
        target[group[np.argsort(turned_bits[group])]] = np.sort(bits[group])
    shift = _matching_shift(mean[:, images], np.log(noise[:, images]), turned_bits, target)
    logvar = np.log(noise) + shift[:, None]
    return Posteriors(
        [mean[group].T for group in groups],
        [logvar[group].T for group in groups],
        member_ids=np.unique(member),
        copy_of=posteriors.image_copies,
        diverged=np.intersect1d(member, posteriors.diverged_members).tolist(),
    )


def random_orthogonal(size: int, rng: np.random.Generator) -> FloatArray:
    """Draw an orthogonal matrix evenly among all (Haar), (size, size): Stewart 1980.

    Example:
        >>> turn = random_orthogonal(3, np.random.default_rng(0))
        >>> bool(np.allclose(turn @ turn.T, np.eye(3)))
        True
    """
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    return np.asarray(q * np.sign(np.diag(r)))


def _matching_shift(mean: FloatArray, logvar: FloatArray, bits: FloatArray, target: FloatArray) -> FloatArray:
    """Return what is added to ln σ² of each channel so that it tells as many bits as its target, (C,).

    The step is that of a Gaussian channel, of which 4^bits − 1 is the ratio of signal and noise.
    """
    shift = np.zeros(len(mean))
    for remaining in reversed(range(MATCHING_STEPS)):
        step = np.log(np.expm1(np.log(4) * np.maximum(bits, 1e-6)) / np.expm1(np.log(4) * np.maximum(target, 1e-6)))
        shift += np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        if remaining:
            bits = _bits(mean, logvar + shift[:, None])
    return shift


def _bits(mean: FloatArray, logvar: FloatArray) -> FloatArray:
    """Return the information of channels on a few images, (C,), bits; one after the other, which few images allow."""
    distances = (bhattacharyya_distance(m[:, None], v[:, None]) for m, v in zip(mean, logvar, strict=True))
    overlap = np.stack([np.exp(-distance).mean(axis=1) for distance in distances])
    return information_bits_from_overlap(torch.tensor(overlap)).numpy()
