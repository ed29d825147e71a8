"""The parameters of several members in one block of memory, updated by one Adam."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.adam import adam

from vaefrag_core.array_types import AnyArray

# Every parameter of every member starts at a multiple of 64 bytes. Vector instructions round differently at the
# ragged end of an array; with this, no member's numbers depend on its position in the stack.
ALIGNMENT = 16  # floats
MOMENTS = ("exp_avg", "exp_avg_sq")


class ParameterStack:
    """Parameters of M members of one architecture, and the state of their optimizer.

    Args:
        members: the weights of each member, arrays by name.
        learning_rate: Adam's step size.
        device: the device of the parameters.
        betas: Adam's decay rates.
        clip: the largest norm of a member's gradient; None for no limit.
        vectorized: whether one operation computes all members.
        bfloat16: whether `parameters` are rounded copies. A network that multiplies in bfloat16 would otherwise round
            them at every use, and return its gradients by way of another float32 copy.

    Attributes:
        parameters: the tensors by name to compute a loss from: one mapping of (M, …) when vectorized, else one mapping
            for each member.
    """

    def __init__(
        self,
        members: Sequence[Mapping[str, AnyArray]],
        learning_rate: float,
        device: str,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        clip: float | None = None,
        vectorized: bool = True,
        bfloat16: bool = False,
    ) -> None:
        self._shapes = {name: array.shape for name, array in members[0].items()}
        self._flat = self._pack(members, device).requires_grad_()
        self._flat.grad = torch.zeros_like(self._flat)
        self._bfloat16 = self._flat.detach().bfloat16() if bfloat16 else None
        # Leaves that share the block's memory, and their parts of the block's gradient. Members computed one by one
        # have leaves of their own: the gradient of a row of a stack would be as large as the stack, and mostly zeros.
        source = self._flat.detach() if self._bfloat16 is None else self._bfloat16
        views, gradients = self._views(source), self._views(self._flat.grad)
        indices: list[Any] = [...] if vectorized else list(range(len(members)))
        self.parameters = [{name: view[m].detach().requires_grad_() for name, view in views.items()} for m in indices]
        self._leaves = [leaf for named in self.parameters for leaf in named.values()]
        self._gradients = [gradient[m] for m in indices for gradient in gradients.values()]
        self._moments = {moment: torch.zeros_like(self._flat, requires_grad=False) for moment in MOMENTS}
        self._steps = torch.zeros((), device=device)
        self._learning_rate, self._betas, self._max_norm = learning_rate, betas, clip

    def resume(self, moments: Sequence[Mapping[str, AnyArray]], step: int) -> None:
        """Restore the optimizer's state after `step` steps; moments as `moments` returns them."""
        device = str(self._flat.device)
        for moment in MOMENTS:
            named = [{name: state[f"{moment}.{name}"] for name in self._shapes} for state in moments]
            self._moments[moment] = self._pack(named, device)
        self._steps.fill_(step)

    def step(self, loss: Tensor) -> None:
        """Update every member by the gradient of its loss (M,)."""
        gradients = torch.autograd.grad(loss.sum(), self._leaves)
        torch._foreach_copy_(self._gradients, gradients)
        if self._max_norm is not None:
            self._clip_gradients(self._max_norm)
        # Not torch.optim.Adam, whose constructor loads PyTorch's compiler: 2.5 s in every worker, for nothing.
        assert self._flat.grad is not None
        with torch.no_grad():
            adam(
                [self._flat],
                [self._flat.grad],
                [self._moments["exp_avg"]],
                [self._moments["exp_avg_sq"]],
                [],
                [self._steps],
                fused=True,
                amsgrad=False,
                beta1=self._betas[0],
                beta2=self._betas[1],
                lr=self._learning_rate,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )
            if self._bfloat16 is not None:
                self._bfloat16.copy_(self._flat)

    def _clip_gradients(self, max_norm: float) -> None:
        """Scale each member's gradient down to a norm, where it is longer."""
        assert self._flat.grad is not None
        # Row by row: a sum over one row must not depend on how many there are. The gaps between parameters are zero.
        norms = torch.stack([row.norm() for row in self._flat.grad])
        self._flat.grad.mul_((max_norm / norms).clamp(max=1.0)[:, None])

    def weights(self) -> list[dict[str, AnyArray]]:
        """Return copies of the parameters of each member, arrays by name."""
        return self._unpack(self._flat.detach())

    def moments(self) -> list[dict[str, AnyArray]]:
        """Return copies of the optimizer's moments of each member, arrays by moment and name."""
        copies = {moment: self._unpack(self._moments[moment]) for moment in MOMENTS}
        return [
            {f"{moment}.{name}": array for moment in MOMENTS for name, array in copies[moment][m].items()}
            for m in range(len(self._flat))
        ]

    def _pack(self, members: Sequence[Mapping[str, AnyArray]], device: str) -> Tensor:
        size = sum(_aligned(math.prod(shape)) for shape in self._shapes.values())
        block = torch.zeros(len(members), size)
        for name, view in self._views(block).items():
            view.copy_(torch.from_numpy(np.stack([member[name] for member in members])))
        return block.to(device)

    def _views(self, block: Tensor) -> dict[str, Tensor]:
        """Return the parameters (M, …) in a block (M, size), sharing its memory."""
        views, start = {}, 0
        for name, shape in self._shapes.items():
            count = math.prod(shape)
            part = block[:, start : start + count]
            if len(shape) == 4:  # filters: channels last, as images are
                first, second, height, width = shape
                views[name] = part.view(len(block), first, height, width, second).permute(0, 1, 4, 2, 3)
            else:
                views[name] = part.view(len(block), *shape)
            start += _aligned(count)
        return views

    def _unpack(self, block: Tensor) -> list[dict[str, AnyArray]]:
        views = self._views(block.cpu())
        return [{name: view[m].numpy().copy() for name, view in views.items()} for m in range(len(block))]


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
