"""The parameters of several members in one block of memory, stepped by one Adam."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.adam import adam

from vaefrag_core.array_types import AnyArray

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
        together: whether all members are computed by the same operations.
        rounded: whether to hand them out in bfloat16. A network that multiplies in it would round them at every use,
            and its gradients would come back as float32 by way of another copy.

    Attributes:
        parameters: by name, what a loss is to be computed from: of all members together, (M, …), in one mapping, else
            one mapping for each member.
    """

    def __init__(
        self,
        members: Sequence[Mapping[str, AnyArray]],
        learning_rate: float,
        device: str,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        clip: float | None = None,
        together: bool = True,
        rounded: bool = False,
    ) -> None:
        self._shapes = {name: array.shape for name, array in members[0].items()}
        self._flat = self._block(members, device).requires_grad_()
        self._flat.grad = torch.zeros_like(self._flat)
        self._rounded = self._flat.detach().bfloat16() if rounded else None
        # Leaves that share a block's memory, and the places in the block's gradient that are theirs. Members computed
        # one by one have their own: the gradient of a row of a stack would be as large as the stack, and mostly zeros.
        handed_out = self._flat.detach() if self._rounded is None else self._rounded
        views, gradients = self._views(handed_out), self._views(self._flat.grad)
        places: list[Any] = [...] if together else list(range(len(members)))
        self.parameters = [{name: view[m].detach().requires_grad_() for name, view in views.items()} for m in places]
        self._leaves = [leaf for named in self.parameters for leaf in named.values()]
        self._gradients = [gradient[m] for m in places for gradient in gradients.values()]
        self._moments = {moment: torch.zeros_like(self._flat, requires_grad=False) for moment in MOMENTS}
        self._steps = torch.zeros((), device=device)
        self._learning_rate, self._betas, self._clip = learning_rate, betas, clip

    def resume(self, moments: Sequence[Mapping[str, AnyArray]], step: int) -> None:
        """Put the optimizer where it stood after `step` steps; moments as `moments` gives them."""
        device = str(self._flat.device)
        for moment in MOMENTS:
            named = [{name: state[f"{moment}.{name}"] for name in self._shapes} for state in moments]
            self._moments[moment] = self._block(named, device)
        self._steps.fill_(step)

    def step(self, loss: Tensor) -> None:
        """Move every member by the gradient of its loss (M,)."""
        gradients = torch.autograd.grad(loss.sum(), self._leaves)
        torch._foreach_copy_(self._gradients, gradients)
        if self._clip is not None:
            self._shorten(self._clip)
        # Not torch.optim.Adam, which loads PyTorch's compiler when it is made: 2.5 s in every worker, for nothing.
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
            if self._rounded is not None:
                self._rounded.copy_(self._flat)

    def _shorten(self, longest: float) -> None:
        """Scale each member's gradient down to a norm."""
        assert self._flat.grad is not None
        # Row by row: a sum over one row must not depend on how many there are. The gaps between parameters are zero.
        norms = torch.stack([row.norm() for row in self._flat.grad])
        self._flat.grad.mul_((longest / norms).clamp(max=1.0)[:, None])

    def weights(self) -> list[dict[str, AnyArray]]:
        """Copy the parameters of each member out, arrays by name."""
        return self._copies(self._flat.detach())

    def moments(self) -> list[dict[str, AnyArray]]:
        """Copy the optimizer's moments of each member out, arrays by moment and name."""
        copies = {moment: self._copies(self._moments[moment]) for moment in MOMENTS}
        return [
            {f"{moment}.{name}": array for moment in MOMENTS for name, array in copies[moment][m].items()}
            for m in range(len(self._flat))
        ]

    def _block(self, members: Sequence[Mapping[str, AnyArray]], device: str) -> Tensor:
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
            part = block[:, start : start + count]
            if len(shape) == 4:  # filters: channels last, as images are
                first, second, height, width = shape
                views[name] = part.view(len(block), first, height, width, second).permute(0, 1, 4, 2, 3)
            else:
                views[name] = part.view(len(block), *shape)
            start += _aligned(count)
        return views

    def _copies(self, block: Tensor) -> list[dict[str, AnyArray]]:
        views = self._views(block.cpu())
        return [{name: view[m].numpy().copy() for name, view in views.items()} for m in range(len(block))]


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
