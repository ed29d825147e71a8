"""How long the comparison of all channels will take on this machine, tried on a few images before it begins."""

import time

import numpy as np

from vaefrag_core.structure.pairwise_information import Rows, shared_bits

PROBE_IMAGES = 1_000
PROBE_CHANNELS = 300  # beyond, what each pair takes no longer changes


def comparison_seconds(n_channels: int, n_images: int, *, threads: int | None = None) -> float:
    """Estimate how long all pairs of channels take to compare, from the time that a small part of them takes.

    Time grows with the square of the images and, of many channels, with that of the channels. Standard errors, the
    level of chance and resamples come on top.

    Args:
        n_channels: C.
        n_images: N.
        threads: CPU threads, by default as many as torch uses.

    Returns:
        Seconds; of few images, too many rather than too few.
    """
    channels, images = min(n_channels, PROBE_CHANNELS), min(n_images, PROBE_IMAGES)
    mean = np.random.default_rng(0).normal(size=(channels, images))
    rows = Rows(mean, np.full_like(mean, -2.0), np.zeros((0, images), dtype=np.int64))
    shared_bits(Rows(mean[:2, :4], rows.logvar[:2, :4], rows.codes[:, :4]), threads=threads)  # compiles, once
    began = time.perf_counter()
    shared_bits(rows, threads=threads)
    seconds = time.perf_counter() - began
    return seconds * (n_channels / channels) ** 2 * (n_images / images) ** 2
