"""Fully connected layers whose rounding does not depend on how many networks are computed at once."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn


class _Dense(nn.Linear):
    """A linear layer that avoids matrix products where it has a single input or output.

    Stacked members are multiplied in batches of matrices, and products with a single row or column are rounded
    differently when there is one matrix and when there are many.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.in_features == 1:
            return input * self.weight[:, 0] + self.bias
        if self.out_features == 1:
            return (input * self.weight[0]).sum(dim=-1, keepdim=True) + self.bias
        return super().forward(input)


def dense(sizes: Sequence[int], activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Create layers from `sizes[0]` inputs to `sizes[-1]` outputs, with an activation after each but the last.

    Example:
        >>> [type(layer).__name__ for layer in dense([4, 8, 2], nn.ReLU)]
        ['_Dense', 'ReLU', '_Dense']
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [_Dense(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])
