"""Posteriors of ensembles whose hotspots are known, because they were planted: what rules are judged by.

Every image has K hidden fragments, independent and uniform. A member that holds a fragment has a channel that tells it,
in a scale, a sign and a place of its own, blurred by noise of its own. Beside these stand channels that no other member
has: dead ones, and ones that tell something private.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.structure.rotation_null import random_orthogonal

FRAGMENT_LOGVAR = float(np.log(0.03))  # of a channel's posteriors, beside fragments on −2 … 2: 2.6 bits
DEAD_SHARE = 0.3  # of idle channels
Variant = Literal["plain", "merged", "split", "continuous"]
VARIANT_SHARE = 0.2  # of members whose first fragments come merged, or split
IDLE, BETWEEN = -1, -2  # in place of a fragment: nothing of them, or two of them together, or half of one


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
            channels of the first fragment, one for each half of its range; "continuous" turns the channels of the first
            two fragments towards each other, each by an angle of its own, so that the two shade into one another.
        turn_degrees: the largest of these angles. From 45 on nothing is left between the two fragments.
    """

    members: int = 10
    fragments: int = 3
    images: int = 1_000
    noise: float = 0.3
    held: float = 1.0
    drawn: bool = False
    idle: float = 0.3
    variant: Variant = "plain"
    turn_degrees: float = 30.0


def plant(planted: Planted, seed: int) -> tuple[Posteriors, IntArray]:
    """Draw an ensemble.

    Args:
        planted: what is in it.
        seed: of everything that is drawn.

    Returns:
        The posteriors of C channels, and the fragment of each channel (C,): `IDLE` of idle ones, `BETWEEN` of those
        that tell two fragments together or half of one, so that it is open where they belong.
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
        truth.append(np.array(of + [IDLE] * idle)[place])
    return Posteriors(means, logvars), np.concatenate(truth).astype(np.int64)


def agreement_with_planted(fragment: IntArray, groups: Sequence[IntArray]) -> float:
    """Return how far groups are the planted fragments: the adjusted Rand index, channels that are `BETWEEN` aside.

    Args:
        fragment: (C,) as `plant` returns it.
        groups: the channels of each group.

    Example:
        >>> agreement_with_planted(np.array([0, 0, 1, 1, IDLE, BETWEEN]), [np.array([0, 1]), np.array([2, 3, 5])])
        1.0
    """
    from sklearn.metrics import adjusted_rand_score

    cluster = np.full(len(fragment), IDLE)
    for number, group in enumerate(groups):
        cluster[group] = number
    told = fragment != BETWEEN
    return float(adjusted_rand_score(fragment[told], cluster[told]))


def independent(
    members: int,
    channels: int,
    images: int,
    seed: int,
    *,
    bits: tuple[float, float] = (0.5, 6.0),
    heavy_tails: bool = False,
    copies: float = 0.0,
) -> Posteriors:
    """Draw an ensemble in which every channel tells something of its own: nothing comes back.

    Args:
        members: M.
        channels: D of each member.
        images: N.
        seed: of everything that is drawn.
        bits: least and most that a channel tells. So many that no two images overlap make a deterministic encoder.
        heavy_tails: means of Student's t with two degrees of freedom, and one σ in twenty far too wide.
        copies: share of the images that are copies of others.
    """
    rng = np.random.default_rng(seed)
    shape = (members, images, channels)
    mean = rng.standard_t(2, shape) if heavy_tails else rng.normal(size=shape)
    told = rng.uniform(*bits, (members, 1, channels))
    logvar = -np.log(4.0**told - 1) + rng.normal(0, 0.3, shape)  # of a Gaussian channel, bits = ½ log2(1 + 1/σ²)
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
        turn = random_orthogonal(size, rng)
        means.append((turn @ (np.sqrt(1 - noise)[:, None] * own)).T)
        logvars.append(np.tile(np.log(turn**2 @ noise), (images, 1)))
    return Posteriors(means, logvars)


def with_diverged_member(posteriors: Posteriors, seed: int) -> Posteriors:
    """Let the last member be one whose training diverged: means beyond all measure, and widths that mean nothing.

    All of its channels follow one run-away activation, each in a scale of its own.

    Args:
        posteriors: of M members with equally many channels.
        seed: of what is drawn.
    """
    rng = np.random.default_rng(seed)
    mean, logvar = (np.array(values) for values in (posteriors.mean, posteriors.logvar))
    activation = 1e6 * np.maximum(rng.standard_t(2, (mean.shape[1], 1)), 0.0)
    mean[-1] = activation * rng.normal(size=(1, mean.shape[2])) * (1 + 0.01 * rng.normal(size=mean.shape[1:]))
    logvar[-1] = rng.normal(0, 10, mean.shape[1:])
    return Posteriors(mean, logvar)


def with_copies_in_two_members(posteriors: Posteriors, seed: int, copies: int = 4) -> Posteriors:
    """Let the first channels of the first two members be copies of one: alike, but in too few members to come back.

    Args:
        posteriors: of M members with equally many channels, `copies` at least.
        seed: of the noise by which they differ.
        copies: channels of either member.
    """
    rng = np.random.default_rng(seed)
    mean, logvar = (np.array(values) for values in (posteriors.mean, posteriors.logvar))
    mean[:2, :, :copies] = mean[:1, :, :1] + 0.01 * rng.normal(size=(2, mean.shape[1], copies))
    logvar[:2, :, :copies] = -3.0
    return Posteriors(mean, logvar)


def _telling_channels(
    planted: Planted, fragments: FloatArray, holds: FloatArray, varied: bool, rng: np.random.Generator
) -> tuple[list[tuple[FloatArray, FloatArray]], list[int]]:
    """Draw the channels of one member that tell fragments, and which fragment each tells."""
    held = [int(k) for k in np.flatnonzero(holds)]
    contents = [(k, fragments[k]) for k in held]
    if varied and planted.variant == "merged" and held[:2] == [0, 1]:
        contents = [(BETWEEN, fragments[0] + fragments[1]), *contents[2:]]
    elif varied and planted.variant == "split" and held[:1] == [0]:
        halves = np.maximum(fragments[0], 0.0), np.minimum(fragments[0], 0.0)
        contents = [*((BETWEEN, half) for half in halves), *contents[1:]]
    elif planted.variant == "continuous":
        contents = [(k, _turned(planted, fragments, k, rng)) if k < 2 else (k, content) for k, content in contents]
    channels = []
    for _, content in contents:
        scale = rng.uniform(0.7, 1.4)
        mean = rng.choice([-1, 1]) * scale * (content + planted.noise * rng.normal(size=planted.images))
        channels.append((mean, np.full(planted.images, FRAGMENT_LOGVAR + 2 * np.log(scale))))
    return channels, [k for k, _ in contents]


def _turned(planted: Planted, fragments: FloatArray, k: int, rng: np.random.Generator) -> FloatArray:
    """Turn one of the first two fragments towards the other; an only one towards something private."""
    turn = np.deg2rad(rng.uniform(0, planted.turn_degrees))
    other = fragments[1 - k] if planted.fragments > 1 else rng.uniform(-2, 2, planted.images)
    return np.asarray(np.cos(turn) * fragments[k] + np.sin(turn) * other)


def _idle_channel(images: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draw a dead channel, or one that tells something private."""
    if rng.random() < DEAD_SHARE:
        return 1e-3 * rng.normal(size=images), np.zeros(images)
    bits = rng.uniform(0.3, 3.0)
    return rng.normal(size=images), np.full(images, -np.log(4.0**bits - 1))
