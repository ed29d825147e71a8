"""The batches and the noise of every training step, as functions of a member's seed and the step alone.

Nothing is drawn from a running random state, so a member's training does not depend on which members are trained
beside it, or on where and how often it was stopped: step s is the same step every time.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from vaefrag_core.array_types import IntArray
from vaefrag_core.config import TrainConfig

FIRST_SNAPSHOT = 10  # step; before it, encoders have hardly left their random weights
NOISE_BLOCK_STEPS = 25  # steps whose noise is drawn at once; another value would change what a seed means


class _Stream(IntEnum):
    ORDER = 0
    NOISE = 1
    SHUFFLE = 2
    DISCRIMINATOR = 3


def snapshot_steps(train: TrainConfig) -> tuple[int, ...]:
    """Return the log-spaced steps after which encoders are stored, ascending, from step 10 to the last one.

    Example:
        >>> snapshot_steps(TrainConfig(steps=400, snapshots=6))
        (10, 21, 44, 91, 191, 400)
    """
    if train.snapshots == 0:
        return ()
    first = min(FIRST_SNAPSHOT, train.steps) if train.snapshots > 1 else train.steps
    shares = np.linspace(0, 1, train.snapshots)
    return tuple(sorted({round(first * (train.steps / first) ** share) for share in shares.tolist()}))


@dataclass(frozen=True)
class Schedule:
    """The batches and the noise of one member.

    Args:
        seed: the member's seed.
        n_images: number of images of the data set.
        batch_size: images in a step; an epoch's last, incomplete batch is dropped. When the data set has fewer images,
            every step sees all of them.
        channels: D.
    """

    seed: int
    n_images: int
    batch_size: int
    channels: int

    @property
    def batch(self) -> int:
        """Number of images in a step: the batch size, or all images when there are fewer."""
        return min(self.batch_size, self.n_images)

    def images(self, start: int, stop: int) -> IntArray:
        """Return the positions in the data set of the images of steps start … stop−1, (steps, batch)."""
        per_epoch = self.n_images // self.batch
        steps = np.arange(start, stop)
        positions = np.empty((len(steps), self.batch), dtype=np.int64)
        for epoch in range(start // per_epoch, (stop - 1) // per_epoch + 1):
            order = self._generator(_Stream.ORDER, epoch).permutation(self.n_images)
            batches = order[: per_epoch * self.batch].reshape(per_epoch, self.batch)
            in_epoch = steps // per_epoch == epoch
            positions[in_epoch] = batches[steps[in_epoch] % per_epoch]
        return positions

    def noise(self, start: int, stop: int) -> Tensor:
        """Return the standard normal noise of steps start … stop−1, (steps, batch, D) float32."""
        blocks = range(start // NOISE_BLOCK_STEPS, (stop - 1) // NOISE_BLOCK_STEPS + 1)
        drawn = np.concatenate(
            [
                self._generator(_Stream.NOISE, block).standard_normal(
                    (NOISE_BLOCK_STEPS, self.batch, self.channels), dtype=np.float32
                )
                for block in blocks
            ]
        )
        first = blocks.start * NOISE_BLOCK_STEPS
        return torch.from_numpy(drawn[start - first : stop - first])

    def shuffles(self, start: int, stop: int) -> Tensor:
        """Return, for each channel, a random order of the batch for the discriminator, (steps, batch, D) int64."""
        rows = np.tile(np.arange(self.batch)[:, None], (1, self.channels))
        orders = [self._generator(_Stream.SHUFFLE, step).permuted(rows, axis=0) for step in range(start, stop)]
        return torch.from_numpy(np.stack(orders))

    @property
    def discriminator_seed(self) -> int:
        """The seed of the discriminator's initial weights."""
        return int(self._generator(_Stream.DISCRIMINATOR, 0).integers(2**63))

    def _generator(self, stream: _Stream, block: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, stream, block])))
