"""The parameters of several members in one block of memory, stepped by one Adam."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Every parameter of every member starts at a multiple of 64 bytes. Vector instructions round differently at the
# ragged end of an array; with this, no member's numbers depend on its place in the stack.
ALIGNMENT = 16  # floats
MOMENTS = ("exp_avg", "exp_avg_sq")


class ParameterStack:
    """Parameters of M members of one architecture, and the state of their optimizer.

    Args:
        members: the weights of each member, arrays by name.
        learning_rate: of Adam.
        device: where they live.
        betas: of Adam.
        clip: the largest norm of a member's gradient; as it is when not given.
    """

    def __init__(
        self,
        members: Sequence[Mapping[str, NDArray[Any]]],
        learning_rate: float,
        device: str,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        clip: float | None = None,
    ) -> None:
        self._shapes = {name: array.shape for name, array in members[0].items()}
        self._flat = self._block(members, device).requires_grad_()
        self._flat.grad = torch.zeros_like(self._flat)
        # Leaves that share the block's memory, and the places in the block's gradient that are theirs.
        self.parameters = {name: view.requires_grad_() for name, view in self._views(self._flat.detach()).items()}
        self._gradients = list(self._views(self._flat.grad).values())
        self._adam = torch.optim.Adam([self._flat], lr=learning_rate, betas=betas, fused=True)
        self._clip = clip

    def resume(self, moments: Sequence[Mapping[str, NDArray[Any]]], step: int) -> None:
        """Put the optimizer where it stood after `step` steps; moments as `moments` gives them."""
        device = str(self._flat.device)
        named = [{m: {n: state[f"{m}.{n}"] for n in self._shapes} for m in MOMENTS} for state in moments]
        self._adam.state[self._flat] = {
            "step": torch.tensor(float(step), device=device),
            **{moment: self._block([member[moment] for member in named], device) for moment in MOMENTS},
        }

    def step(self, loss: Tensor) -> None:
        """Move every member by the gradient of its loss (M,)."""
        gradients = torch.autograd.grad(loss.sum(), list(self.parameters.values()))
        torch._foreach_copy_(self._gradients, gradients)
        if self._clip is not None:
            self._shorten(self._clip)
        self._adam.step()

    def _shorten(self, longest: float) -> None:
        """Scale each member's gradient down to a norm."""
        assert self._flat.grad is not None
        # Row by row: a sum over one row must not depend on how many there are. The gaps between parameters are zero.
        norms = torch.stack([row.norm() for row in self._flat.grad])
        self._flat.grad.mul_((longest / norms).clamp(max=1.0)[:, None])

    def weights(self) -> list[dict[str, NDArray[Any]]]:
        """Copy the parameters of each member out, arrays by name."""
        return self._copies(self._flat.detach())

    def moments(self) -> list[dict[str, NDArray[Any]]]:
        """Copy the optimizer's moments of each member out, arrays by moment and name."""
        state = self._adam.state[self._flat]
        copies = {moment: self._copies(state[moment]) for moment in MOMENTS}
        return [
            {f"{moment}.{name}": array for moment in MOMENTS for name, array in copies[moment][m].items()}
            for m in range(len(self._flat))
        ]

    def _block(self, members: Sequence[Mapping[str, NDArray[Any]]], device: str) -> Tensor:
        size = sum(_aligned(math.prod(shape)) for shape in self._shapes.values())
        block = torch.zeros(len(members), size)
        for name, view in self._views(block).items():
            view.copy_(torch.from_numpy(np.stack([member[name] for member in members])))
        return block.to(device)

    def _views(self, block: Tensor) -> dict[str, Tensor]:
        """Cut a block (M, size) into its parameters (M, …), sharing memory."""
        views, start = {}, 0
        for name, shape in self._shapes.items():
            count = math.prod(shape)
            views[name] = block[:, start : start + count].view(len(block), *shape)
            start += _aligned(count)
        return views

    def _copies(self, block: Tensor) -> list[dict[str, NDArray[Any]]]:
        views = self._views(block.cpu())
        return [{name: view[m].numpy().copy() for name, view in views.items()} for m in range(len(block))]


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
