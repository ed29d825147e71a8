"""Which images a member sees at which step, and with which noise: functions of its seed and the step alone.

Because nothing is drawn from a running random state, a member's course does not depend on who is trained
beside it, where it was stopped, or how often: step s is the same step every time.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from vaefrag_core.array_types import IntArray
from vaefrag_core.config import TrainConfig

FIRST_SNAPSHOT = 10  # step; before it, encoders have hardly left their random beginning
NOISE_BLOCK_STEPS = 25  # steps whose noise is drawn at once; part of what a seed means, so never changed


class _Stream(IntEnum):
    ORDER = 0
    NOISE = 1
    SHUFFLE = 2
    DISCRIMINATOR = 3


def snapshot_steps(train: TrainConfig) -> tuple[int, ...]:
    """Give the log-spaced steps after which encoders are kept, ascending, from step 10 to the end itself.

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
    """The course of one member.

    Args:
        seed: of the member.
        n_images: in the data set.
        batch_size: images in a step; an epoch's last, incomplete batch is dropped. Of fewer images than a
            batch, every step sees all of them.
        channels: D.
    """

    seed: int
    n_images: int
    batch_size: int
    channels: int

    @property
    def batch(self) -> int:
        """Images that a step really sees."""
        return min(self.batch_size, self.n_images)

    def images(self, start: int, stop: int) -> IntArray:
        """Give the positions of the images of steps start … stop−1, (steps, batch)."""
        per_epoch = self.n_images // self.batch
        steps = np.arange(start, stop)
        found = np.empty((len(steps), self.batch), dtype=np.int64)
        for epoch in range(start // per_epoch, (stop - 1) // per_epoch + 1):
            order = self._generator(_Stream.ORDER, epoch).permutation(self.n_images)
            batches = order[: per_epoch * self.batch].reshape(per_epoch, self.batch)
            here = steps // per_epoch == epoch
            found[here] = batches[steps[here] % per_epoch]
        return found

    def noise(self, start: int, stop: int) -> Tensor:
        """Give the standard normal noise of steps start … stop−1, (steps, batch, D) float32."""
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
        """Give, for each channel, the order in which a discriminator sees the images, (steps, batch, D) int64."""
        rows = np.tile(np.arange(self.batch)[:, None], (1, self.channels))
        orders = [self._generator(_Stream.SHUFFLE, step).permuted(rows, axis=0) for step in range(start, stop)]
        return torch.from_numpy(np.stack(orders))

    @property
    def discriminator_seed(self) -> int:
        """The seed of the discriminator's first weights."""
        return int(self._generator(_Stream.DISCRIMINATOR, 0).integers(2**63))

    def _generator(self, stream: _Stream, block: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, stream, block])))
