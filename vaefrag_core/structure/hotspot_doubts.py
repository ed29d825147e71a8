"""Why a hotspot may be no more than chance, in sentences."""

from collections.abc import Sequence

import numpy as np

from vaefrag_core.artifacts import ChannelMatrix, Hotspots

SMALL_P = 0.05  # of a search among shuffled channels; above it, chance explains a hotspot well enough


def hotspot_doubts(
    matrix: ChannelMatrix, hotspots: Hotspots, p_values: Sequence[float] | None = None
) -> list[tuple[str, ...]]:
    """Say of every hotspot what makes it doubtful.

    Args:
        matrix: the comparison of the channels.
        hotspots: G hotspots, found in it.
        p_values: (G,) against shuffled channels, see `hotspot_significance`; None where these were not searched.

    Returns:
        (G,) sentences; none of a hotspot that is clear of chance.
    """
    doubts = []
    for group in hotspots.groups:
        sentences = []
        if hotspots.inside is not None and hotspots.inside.reaches_chance[group.label]:
            low, high = (f"{end:.2f}".replace("-", "−") for end in hotspots.inside.interval[group.label])
            sentences.append(
                f"Its corrected NMI is {low} to {high} over the choice of images, which reaches 0, the level of chance."
            )
        if p_values is not None and p_values[group.label] > SMALL_P:
            share = f"{p_values[group.label]:.2g}"
            sentences.append(f"Channels that share nothing show a group as similar with a probability of {share}.")
        diverged = np.intersect1d(matrix.member[list(group.channels)], matrix.diverged).tolist()
        if diverged:
            sentences.append(
                f"It holds channels of members that diverged in training: {', '.join(map(str, diverged))}."
            )
        doubts.append(tuple(sentences))
    return doubts
