"""Adam from several starts side by side, each at a learning rate of its own that halves when its objective stalls.

All that decides the next step is in the state, so a run that goes on from a file gives the same numbers to the last
bit as one that never stopped (on the same machine).

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

LEARNING_RATE = 0.1  # at the start, in units of the posteriors' σ
MIN_LEARNING_RATE = LEARNING_RATE / 100  # a start whose rate has fallen below has converged
PATIENCE = 10  # steps without progress before the rate is halved
MIN_PROGRESS = 1e-4  # relative rise of the objective that counts
DECAY, DECAY_SQUARE = 0.9, 0.99  # of the first and the second moment
EPSILON = 1e-12

Values = tuple[Tensor, Tensor, Tensor]  # objective, information and mean VI, each (R,)

# Names of the tensors in a state's file, which were there before their attributes had these names.
STORED_NAMES = {
    "parameters": "place",
    "first_moment": "moment",
    "second_moment": "square",
    "best": "best",
    "best_value": "best_value",
    "reference_value": "level",
    "learning_rate": "rate",
    "stalled_steps": "idle",
    "history": "history",
}


@dataclass
class MultiStartAdam:
    """R starts under way, and the best that each has reached.

    Args:
        parameters: (2, R, N, d) means and ln σ².
        first_moment: (2, R, N, d) Adam's mean of the gradient.
        second_moment: (2, R, N, d) Adam's mean of its square.
        best: (2, R, N, d) parameters where the objective was largest.
        best_value: (R,) the objective there.
        reference_value: (R,) the objective that progress is measured from.
        learning_rate: (R,) of the next step.
        stalled_steps: (R,) steps since the last progress, or since the rate was halved.
        history: (T, 3, R) objective, bits and mean VI at each of T steps.
    """

    parameters: Tensor
    first_moment: Tensor
    second_moment: Tensor
    best: Tensor
    best_value: Tensor
    reference_value: Tensor
    learning_rate: Tensor
    stalled_steps: Tensor
    history: Tensor

    @classmethod
    def from_starts(cls, parameters: Tensor) -> "MultiStartAdam":
        """Return the state before the first step, from means and ln σ² of R starts, (2, R, N, d)."""
        starts = parameters.shape[1]
        lowest = torch.full((starts,), -torch.inf, dtype=parameters.dtype)
        zeros = torch.zeros_like(parameters)
        return cls(
            parameters=parameters.clone(),
            first_moment=zeros,
            second_moment=zeros.clone(),
            best=parameters.clone(),
            best_value=lowest,
            reference_value=lowest.clone(),
            learning_rate=torch.full((starts,), LEARNING_RATE, dtype=parameters.dtype),
            stalled_steps=torch.zeros(starts, dtype=torch.int64),
            history=torch.zeros(0, 3, starts, dtype=parameters.dtype),
        )

    @property
    def steps(self) -> int:
        """T, steps made."""
        return len(self.history)

    @property
    def best_start(self) -> int:
        """The start that has reached the largest objective."""
        return int(self.best_value.argmax())

    @property
    def converged(self) -> bool:
        """Whether no start makes progress any more."""
        return bool((self.learning_rate < MIN_LEARNING_RATE).all())

    def step(self, evaluate: Callable[[Tensor, Tensor], Values]) -> None:
        """Evaluate all starts, and move each up the gradient of its objective.

        Args:
            evaluate: objective, information and mean VI of R spaces, from (R, N, d) means and ln σ²; the objective
                is maximized.
        """
        parameters = self.parameters.detach().requires_grad_()
        value, bits, vi = evaluate(parameters[0], parameters[1])
        # Each start's objective depends on its own parameters alone, so the gradient of the sum holds them all.
        (gradient,) = torch.autograd.grad(value.sum(), parameters)
        self._record(value.detach(), bits.detach(), vi.detach())
        self.first_moment = DECAY * self.first_moment + (1 - DECAY) * gradient
        self.second_moment = DECAY_SQUARE * self.second_moment + (1 - DECAY_SQUARE) * gradient.square()
        direction = self.first_moment / (1 - DECAY**self.steps)
        scale = (self.second_moment / (1 - DECAY_SQUARE**self.steps)).sqrt() + EPSILON
        rate = torch.where(self.learning_rate < MIN_LEARNING_RATE, 0.0, self.learning_rate)  # converged starts stay
        self.parameters = self.parameters + rate[:, None, None] * direction / scale

    def _record(self, value: Tensor, bits: Tensor, vi: Tensor) -> None:
        """Keep the best parameters, and halve the rate of starts that have stalled."""
        self.history = torch.cat([self.history, torch.stack([value, bits, vi])[None]])
        better = value > self.best_value
        self.best = torch.where(better[:, None, None], self.parameters, self.best)
        self.best_value = torch.where(better, value, self.best_value)
        # Negated, so that the first value counts as progress: −∞ + ∞ is NaN, and not below anything.
        progress = ~(value <= self.reference_value + MIN_PROGRESS * self.reference_value.abs())
        self.reference_value = torch.where(progress, value, self.reference_value)
        self.stalled_steps = torch.where(progress, 0, self.stalled_steps + 1)
        stalled = self.stalled_steps >= PATIENCE
        self.learning_rate = torch.where(stalled, self.learning_rate / 2, self.learning_rate)
        self.stalled_steps = torch.where(stalled, 0, self.stalled_steps)

    def save(self, path: Path, key: str) -> None:
        """Write the state into a file.

        Args:
            path: the file.
            key: names what is optimized; the state is used for nothing else.
        """
        tensors = {stored: getattr(self, name).contiguous() for name, stored in STORED_NAMES.items()}
        save_file(tensors, path, metadata={"key": key})

    @classmethod
    def load(cls, path: Path, key: str) -> "MultiStartAdam | None":
        """Read what `save` wrote; None when there is no such file, or its key is another.

        Raises:
            BrokenFileError: when the file is damaged.
        """
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("key") != key:
                    return None
                return cls(**{name: file.get_tensor(stored) for name, stored in STORED_NAMES.items()})
        except (SafetensorError, OSError) as error:
            raise BrokenFileError(
                f"{path} is not the state of a fusion that can be read ({error}). Delete it to begin again."
            ) from error
