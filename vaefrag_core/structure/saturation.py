"""What a user should know about channels that tell every image from every other, and about too little noise."""

from collections.abc import Sequence

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray
from vaefrag_core.measures.channel_states import noise_for_information

COMPARABLE_BITS = 3.0  # of information that leave a channel much to confuse and enough to tell
SAMPLED_CHANNELS = 16  # from which the noise is worked out: enough for its range
SAMPLED_IMAGES = 300  # each channel takes the square of them in time, and information of 3 bits needs no more


def saturation_messages(mean: FloatArray, saturated: BoolArray) -> tuple[str, ...]:
    """Return the sentences that say which channels cannot be compared, and at what noise they could be.

    Args:
        mean: (C, N) posterior means, in latent units.
        saturated: (C,) True where a channel tells every image from every other.
    """
    count, (channels, images) = int(saturated.sum()), mean.shape
    if not count:
        return ()
    bits = min(COMPARABLE_BITS, float(np.log2(images)) / 2)
    levels = _noise_levels(mean[saturated], bits)
    advice = (
        f" With noise of {_range(levels)} their means would carry about {bits:.2g} bits, and could be compared: encode"
        " with that noise, or train with a larger β."
        if levels
        else ""
    )
    return (
        f"{count} of {channels} channels tell every one of the {images:,} images from every other, as a deterministic"
        " encoder does: their posteriors do not overlap, so that nothing can be compared, and their NMI is"
        f" undefined.{advice}",
    )


def widening_messages(widened: BoolArray | None, channels: int) -> tuple[str, ...]:
    """Return the sentence that says how many channels no grid could resolve.

    Args:
        widened: (R,) True where narrow posteriors counted as wider, the C channels among R rows; None of the bound.
        channels: C, the first of the rows.
    """
    count = 0 if widened is None else int(widened[:channels].sum())
    if not count:
        return ()
    return (
        f"{count} of {channels} channels have posteriors too narrow to be integrated, as far as their means are spread."
        " The narrowest count as wider: these channels tell more than is shown, and their NMI is that of the channels"
        " so blurred.",
    )


def _noise_levels(mean: FloatArray, bits: float) -> list[float]:
    """Find the ln σ² at which some of the channels carry so many bits, ascending."""
    n_images = mean.shape[1]
    rows = np.linspace(0, len(mean) - 1, min(SAMPLED_CHANNELS, len(mean))).round().astype(np.int64)
    columns = np.linspace(0, n_images - 1, min(SAMPLED_IMAGES, n_images)).round().astype(np.int64)
    # Channels that tell images apart by their variances alone have means that no noise can make use of.
    spaced = [row for row in mean[np.ix_(rows, columns)] if len(np.unique(row)) > 2 ** (bits + 1)]
    return sorted(noise_for_information(row, bits) for row in spaced)


def _range(levels: Sequence[float]) -> str:
    low, middle, high = (f"{levels[k]:.1f}".replace("-", "−") for k in (0, len(levels) // 2, -1))
    return f"ln σ² of about {middle}" if levels[-1] - levels[0] < 1 else f"ln σ² between {low} and {high}"
