"""Latent traversals: images decoded while one channel moves across its range."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from scipy.special import ndtr

from vaefrag_core.array_types import Float32Array, FloatArray, ImageArray, IntArray
from vaefrag_core.artifacts import Posteriors, Traversals
from vaefrag_core.config import TraversalConfig
from vaefrag_core.errors import MissingDataError
from vaefrag_core.models.vae import VAE
from vaefrag_core.structure.label_factors import UNLABELLED, labels_of

Draw = Callable[[Float32Array], ImageArray]


def aggregate_quantiles(mean: FloatArray, logvar: FloatArray, shares: FloatArray) -> FloatArray:
    """Compute quantiles of a channel's aggregate posterior, the mixture of its posteriors over the sample.

    Solves (1/N) Σᵢ Φ((z − μᵢ)/σᵢ) = share by bisection.

    Args:
        mean: (C, N) posterior means.
        logvar: (C, N) ln σ².
        shares: (Q,) between 0 and 1.

    Returns:
        (C, Q) values, to 1e-9 of the channel's spread.

    Example:
        >>> aggregate_quantiles(np.zeros((1, 1)), np.zeros((1, 1)), np.array([0.5])).round(6) + 0.0
        array([[0.]])
    """
    sigma = np.exp(logvar / 2)
    low = np.repeat((mean - 10 * sigma).min(axis=1)[:, None], len(shares), axis=1)
    high = np.repeat((mean + 10 * sigma).max(axis=1)[:, None], len(shares), axis=1)
    for _ in range(40):  # each halves the interval: 2⁻⁴⁰ of it is left
        middle = (low + high) / 2
        for q in range(len(shares)):  # one share at a time: memory of (C, N), not (C, Q, N)
            above = ndtr((middle[:, q, None] - mean) / sigma).mean(axis=1) >= shares[q]
            high[above, q] = middle[above, q]
            low[~above, q] = middle[~above, q]
    return np.asarray((low + high) / 2)


def traverse_members(
    posteriors: Posteriors,
    members: Mapping[int, VAE],
    config: TraversalConfig | None = None,
    *,
    draw: Draw | None = None,
) -> Traversals:
    """Decode traversals of every channel of every member.

    Each base image is encoded to its posterior mean; then one channel takes evenly spaced values between two
    quantiles of its aggregate posterior while the others stay, and the results are decoded.

    Args:
        posteriors: of the members, with the sample's images.
        members: the networks, by member number.
        config: how many images and values.
        draw: turns what the decoders return, (N, H, W), into pictures (N, h, w), when that is points.

    Returns:
        Images (C, K, T, H, W) or (C, K, T, H, W, 3).

    Raises:
        MissingDataError: when the posteriors carry no images.
    """
    config = config or TraversalConfig()
    if posteriors.images is None:
        raise MissingDataError("Traversals start from images of the sample, and these posteriors carry none.")
    base = base_images(posteriors, config.base_images)
    mean, logvar = posteriors.flat()
    limits = aggregate_quantiles(mean, logvar, np.array([config.tail, 1 - config.tail]))
    values = np.linspace(limits[:, 0], limits[:, 1], config.values, axis=1)  # (C, T)
    channels = posteriors.channels_of_member
    pictures, first = [], 0
    for position, member in enumerate(posteriors.member_ids):
        latents = np.asarray(posteriors.mean[position][base], dtype=np.float32)  # (K, D)
        pictures.append(_decode(members[int(member)], latents, values[first : first + channels[position]], draw))
        first += channels[position]
    images = np.concatenate(pictures)  # (C, K, T, image channels, H, W)
    images = images[:, :, :, 0] if images.shape[3] == 1 else np.moveaxis(images, 3, -1)
    return Traversals(images=np.ascontiguousarray(images), values=values, base=base)


def base_images(posteriors: Posteriors, count: int) -> IntArray:
    """Select images to vary: the first of the sample of each class of the first label, then simply the next.

    Args:
        posteriors: N images.
        count: K; all N when there are fewer.

    Returns:
        (K,) positions in the sample.
    """
    base: list[int] = []
    if posteriors.labels is not None:
        label = labels_of(posteriors)[0]
        codes, first = np.unique(label.codes, return_index=True)
        first = first[codes != UNLABELLED]
        spread = np.linspace(0, len(first) - 1, min(count, len(first))).round().astype(int)  # when values are many
        base = [int(i) for i in first[spread]]
    rest = (i for i in range(posteriors.n_images) if i not in base)
    while len(base) < min(count, posteriors.n_images):
        base.append(next(rest))
    return np.array(base, dtype=np.int64)


def _decode(vae: VAE, latents: Float32Array, values: FloatArray, draw: Draw | None) -> ImageArray:
    """Decode (D, K, T) latents: base images `latents` (K, D), channel d at `values` (D, T).

    Returns:
        (D, K, T, image channels, H, W).
    """
    channels, steps = values.shape
    grid = np.broadcast_to(latents[None, :, None], (channels, len(latents), steps, channels)).copy()
    for d in range(channels):
        grid[d, :, :, d] = values[d]
    with torch.inference_mode():
        flat = torch.from_numpy(grid.reshape(-1, channels))
        if draw is None:
            pixels = (vae.decode(flat) * 255).round().to(torch.uint8).numpy()
        else:  # the decoder's output is the mean of a point; `decode` would clip it to 0…1
            pixels = draw(vae.decoder(flat)[:, 0].numpy())[:, None]
    return np.asarray(pixels.reshape(channels, len(latents), steps, *pixels.shape[1:]))
