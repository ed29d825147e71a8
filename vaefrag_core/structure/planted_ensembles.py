"""Posteriors of ensembles whose hotspots are known, because they were planted: what rules are judged by.

Every image has K hidden fragments, independent and uniform. A member that holds a fragment has a channel that tells it,
in a scale, a sign and a place of its own, blurred by noise of its own. Beside these stand channels that no other member
has: dead ones, and ones that tell something private.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors

FRAGMENT_LOGVAR = float(np.log(0.03))  # of a channel's posteriors, beside fragments on −2 … 2: 2.6 bits
DEAD_SHARE = 0.3  # of idle channels
Variant = Literal["plain", "merged", "split", "continuous"]
VARIANT_SHARE = 0.2  # of members whose first fragments come merged, or split


@dataclass(frozen=True)
class Planted:
    """An ensemble to plant.

    Args:
        members: M.
        fragments: K; 0 for an ensemble in which nothing comes back.
        images: N.
        noise: standard deviation of a channel's own noise, where fragments spread over −2 … 2. It sets the NMI inside a
            hotspot: .998 at .02, .95 at .1, .65 at .3, .19 at .8, .12 at 1.
        held: share of the members that hold a fragment, three of them at least.
        drawn: whether each member holds a fragment with probability `held`, rather than just that share of them.
        idle: share of a member's channels that tell nothing of the fragments.
        variant: in a fifth of the members, "merged" has one channel of the first two fragments together, "split" two
            channels of the first fragment, one for each half of its range; "continuous" turns the first fragment's
            channels towards a private one, by up to 30 degrees.
    """

    members: int = 10
    fragments: int = 3
    images: int = 1_000
    noise: float = 0.3
    held: float = 1.0
    drawn: bool = False
    idle: float = 0.3
    variant: Variant = "plain"


def plant(planted: Planted, seed: int) -> tuple[Posteriors, IntArray]:
    """Draw an ensemble.

    Args:
        planted: what is in it.
        seed: of everything that is drawn.

    Returns:
        The posteriors of C channels, and the fragment of each channel (C,); −1 of idle channels, and of those that tell
        two fragments.
    """
    rng = np.random.default_rng(seed)
    fragments = rng.uniform(-2, 2, (planted.fragments, planted.images))
    holds = np.zeros((planted.members, planted.fragments), dtype=bool)
    holders = min(max(3, round(planted.held * planted.members)), planted.members)
    for k in range(planted.fragments):
        holds[rng.permutation(planted.members)[:holders], k] = True
    if planted.drawn:
        holds = rng.random(holds.shape) < planted.held
    # Members that hold a fragment plainly stay enough for it to be one that comes back.
    varied = rng.permutation(planted.members)[: min(round(VARIANT_SHARE * planted.members), max(0, holders - 3))]
    means, logvars, truth = [], [], []
    for m in range(planted.members):
        channels, of = _telling_channels(planted, fragments, holds[m], m in varied, rng)
        idle = max(1, round(len(channels) * planted.idle / (1 - planted.idle))) if planted.idle else 0
        channels += [_idle_channel(planted.images, rng) for _ in range(idle)]
        place = rng.permutation(len(channels))
        means.append(np.stack([channels[c][0] for c in place], axis=1))
        logvars.append(np.stack([channels[c][1] for c in place], axis=1))
        truth.append(np.array(of + [-1] * idle)[place])
    return Posteriors(means, logvars), np.concatenate(truth).astype(np.int64)


def independent(
    members: int, channels: int, images: int, seed: int, *, heavy_tails: bool = False, copies: float = 0.0
) -> Posteriors:
    """Draw an ensemble in which every channel tells something of its own, of 0.5 to 6 bits: nothing comes back.

    Args:
        members: M.
        channels: D of each member.
        images: N.
        seed: of everything that is drawn.
        heavy_tails: means of Student's t with two degrees of freedom, and one σ in twenty far too wide.
        copies: share of the images that are copies of others.
    """
    rng = np.random.default_rng(seed)
    shape = (members, images, channels)
    mean = rng.standard_t(2, shape) if heavy_tails else rng.normal(size=shape)
    bits = rng.uniform(0.5, 6.0, (members, 1, channels))
    logvar = -np.log(4.0**bits - 1) + rng.normal(0, 0.3, shape)  # of a Gaussian channel, bits = ½ log2(1 + 1/σ²)
    if heavy_tails:
        logvar = np.where(rng.random(shape) < 0.05, logvar + rng.uniform(0, 6, shape), logvar)
    originals = images - round(copies * images)
    source = np.concatenate([np.arange(originals), rng.integers(0, originals, images - originals)])
    return Posteriors(mean[:, source], logvar[:, source], copy_of=source)  # an original stands at its own position


def random_axes(
    members: int, shared: int, images: int, seed: int, *, private: int = 0, unequal: bool = False
) -> Posteriors:
    """Draw an ensemble whose members tell the same together, and cut it into channels each by axes of its own.

    What they share are independent fragments, uniform on −2 … 2 and scaled to the total variance of a prior; each
    member turns them, with private ones of its own, by a random orthogonal matrix.

    Args:
        members: M.
        shared: fragments that every member tells.
        images: N.
        seed: of everything that is drawn.
        private: fragments that it alone tells.
        unequal: whether fragments tell 0.7 to 3 bits rather than 2 each.
    """
    rng = np.random.default_rng(seed)
    size = shared + private
    fragments = rng.uniform(-1, 1, (shared, images)) * np.sqrt(3)
    bits = rng.uniform(0.7, 3.0, size) if unequal else np.full(size, 2.0)
    noise = 4.0**-bits  # of a total variance of 1
    means, logvars = [], []
    for _ in range(members):
        own = np.concatenate([fragments, rng.uniform(-1, 1, (private, images)) * np.sqrt(3)])
        q, r = np.linalg.qr(rng.normal(size=(size, size)))
        turn = q * np.sign(np.diag(r))
        means.append((turn @ (np.sqrt(1 - noise)[:, None] * own)).T)
        logvars.append(np.tile(np.log(turn**2 @ noise), (images, 1)))
    return Posteriors(means, logvars)


def _telling_channels(
    planted: Planted, fragments: FloatArray, holds: FloatArray, varied: bool, rng: np.random.Generator
) -> tuple[list[tuple[FloatArray, FloatArray]], list[int]]:
    """Draw the channels of one member that tell fragments, and which fragment each tells."""
    held = [int(k) for k in np.flatnonzero(holds)]
    contents = [(k, fragments[k]) for k in held]
    if varied and planted.variant == "merged" and held[:2] == [0, 1]:
        contents = [(-1, fragments[0] + fragments[1]), *contents[2:]]
    elif varied and planted.variant == "split" and held[:1] == [0]:
        contents = [(0, np.maximum(fragments[0], 0.0)), (0, np.minimum(fragments[0], 0.0)), *contents[1:]]
    elif planted.variant == "continuous" and held[:1] == [0]:
        turn = np.deg2rad(rng.uniform(0, 30))
        private = rng.uniform(-2, 2, planted.images)
        contents = [(0, np.cos(turn) * fragments[0] + np.sin(turn) * private), *contents[1:]]
    channels = []
    for _, content in contents:
        scale = rng.uniform(0.7, 1.4)
        mean = rng.choice([-1, 1]) * scale * (content + planted.noise * rng.normal(size=planted.images))
        channels.append((mean, np.full(planted.images, FRAGMENT_LOGVAR + 2 * np.log(scale))))
    return channels, [k for k, _ in contents]


def _idle_channel(images: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draw a dead channel, or one that tells something private."""
    if rng.random() < DEAD_SHARE:
        return 1e-3 * rng.normal(size=images), np.zeros(images)
    bits = rng.uniform(0.3, 3.0)
    return rng.normal(size=images), np.full(images, -np.log(4.0**bits - 1))
