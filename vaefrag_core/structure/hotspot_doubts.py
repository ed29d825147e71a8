"""Why a hotspot may be no more than chance, in sentences."""

import numpy as np

from vaefrag_core.artifacts import ChannelMatrix, Hotspots, NullTests


def hotspot_doubts(matrix: ChannelMatrix, hotspots: Hotspots, tests: NullTests | None = None) -> list[tuple[str, ...]]:
    """Say of every hotspot what makes it doubtful.

    Args:
        matrix: the comparison of the channels.
        hotspots: G hotspots, found in it.
        tests: what they were held against; None where they were not.

    Returns:
        (G,) sentences; none of a hotspot that is clear of chance.
    """
    doubts = []
    for group in hotspots.groups:
        sentences = []
        if hotspots.inside is not None and hotspots.inside.reaches_chance[group.number]:
            low, high = (f"{end:.2f}".replace("-", "−") for end in hotspots.inside.interval[group.number])
            sentences.append(
                f"Its corrected NMI is {low} to {high} over the choice of images, which reaches 0, the level of chance."
            )
        if tests is not None and not tests.beyond_chance[group.number]:
            p_value, rate = tests.p_values[group.number], tests.false_discovery_rates[group.number]
            sentences.append(
                f"Shuffled images show a group as similar: p = {p_value:.2g}, false discovery rate {rate:.2g}."
            )
        diverged = np.intersect1d(matrix.member[list(group.channels)], matrix.diverged).tolist()
        if diverged:
            sentences.append(
                f"It holds channels of members that diverged in training: {', '.join(map(str, diverged))}."
            )
        doubts.append(tuple(sentences))
    return doubts
