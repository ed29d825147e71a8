"""Several starts climbed side by side by Adam, each at a rate of its own that halves when it no longer rises.

All that decides the next step is in the state, so a climb that is taken up from a file goes on to the last bit as if
it had never stopped (on the same machine).

Reference: Kingma, D. P., Ba, J. (2015). Adam: a method for stochastic optimization. https://arxiv.org/abs/1412.6980
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vaefrag_core.errors import BrokenFileError

RATE = 0.1  # of Adam at the start, in units of the posteriors' σ
FLAT = RATE / 100  # a start whose rate has fallen below is at its top
PATIENCE = 10  # steps without a rise before the rate is halved
RISE = 1e-4  # of the objective, relative, that counts as one
DECAY, DECAY_SQUARE, TINY = 0.9, 0.99, 1e-12

Values = tuple[Tensor, Tensor, Tensor]  # objective, information and mean VI, each (R,)


@dataclass
class MultiStartAdam:
    """R starts on their way.

    Args:
        place: (2, R, N, d) means and ln σ².
        moment, square: Adam's, of the same shape.
        best: (2, R, N, d) where the objective was largest.
        best_value: (R,) it there.
        level: (R,) the value that the next rise is measured from.
        rate: (R,) of the next step.
        idle: (R,) steps since the last rise, or since the rate was halved.
        history: (T, 3, R) objective, bits and mean VI after each step.
    """

    place: Tensor
    moment: Tensor
    square: Tensor
    best: Tensor
    best_value: Tensor
    level: Tensor
    rate: Tensor
    idle: Tensor
    history: Tensor

    @classmethod
    def begin(cls, place: Tensor) -> "MultiStartAdam":
        """Stand at R starts, (2, R, N, d)."""
        starts = place.shape[1]
        lowest = torch.full((starts,), -torch.inf, dtype=place.dtype)
        zeros = torch.zeros_like(place)
        return cls(
            place=place.clone(),
            moment=zeros,
            square=zeros.clone(),
            best=place.clone(),
            best_value=lowest,
            level=lowest.clone(),
            rate=torch.full((starts,), RATE, dtype=place.dtype),
            idle=torch.zeros(starts, dtype=torch.int64),
            history=torch.zeros(0, 3, starts, dtype=place.dtype),
        )

    @property
    def step(self) -> int:
        """Steps made."""
        return len(self.history)

    @property
    def flat(self) -> bool:
        """Whether no start rises any more."""
        return bool((self.rate < FLAT).all())

    def go(self, evaluate: Callable[[Tensor, Tensor], Values]) -> None:
        """Make one step.

        Args:
            evaluate: objective, information and mean VI of R spaces, from (R, N, d) means and ln σ²; the objective
                is climbed.
        """
        place = self.place.detach().requires_grad_()
        value, bits, vi = evaluate(place[0], place[1])
        (slope,) = torch.autograd.grad(value.sum(), place)
        self._note(value.detach(), bits.detach(), vi.detach())
        self.moment = DECAY * self.moment + (1 - DECAY) * slope
        self.square = DECAY_SQUARE * self.square + (1 - DECAY_SQUARE) * slope.square()
        ahead = self.moment / (1 - DECAY**self.step)
        size = (self.square / (1 - DECAY_SQUARE**self.step)).sqrt() + TINY
        moving = torch.where(self.rate < FLAT, 0.0, self.rate)
        self.place = self.place + moving[:, None, None] * ahead / size

    def _note(self, value: Tensor, bits: Tensor, vi: Tensor) -> None:
        """Keep what is best, and slow down where nothing rises."""
        self.history = torch.cat([self.history, torch.stack([value, bits, vi])[None]])
        better = value > self.best_value
        self.best = torch.where(better[:, None, None], self.place, self.best)
        self.best_value = torch.where(better, value, self.best_value)
        rises = ~(value <= self.level + RISE * self.level.abs())  # from −∞, everything rises
        self.level = torch.where(rises, value, self.level)
        self.idle = torch.where(rises, 0, self.idle + 1)
        tired = self.idle >= PATIENCE
        self.rate = torch.where(tired, self.rate / 2, self.rate)
        self.idle = torch.where(tired, 0, self.idle)

    def save(self, path: Path, key: str) -> None:
        """Write the state into a file.

        Args:
            path: of the file.
            key: of what is climbed, which has to be the same when it is taken up.
        """
        save_file({name: tensor.contiguous() for name, tensor in vars(self).items()}, path, metadata={"key": key})

    @classmethod
    def load(cls, path: Path, key: str) -> "MultiStartAdam | None":
        """Take a climb up again; None when there is none, or one of something else.

        Raises:
            BrokenFileError: when the file is damaged.
        """
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("key") != key:
                    return None
                return cls(**{name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError, TypeError) as error:
            raise BrokenFileError(
                f"{path} is not the state of a fusion that can be read ({error}). Delete it to begin again."
            ) from error
