"""The transposed convolution by which decoders double an image: PyTorch's own, with a faster gradient on the CPU.

oneDNN may take more than twice as long for the gradient of a transposed convolution's weights as for the same sums
computed as the gradient of a convolution's weights, with images and gradient exchanged.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

WINDOW, STRIDE, PADDING = 4, 2, 1


class Upsampling(nn.ConvTranspose2d):
    """Images (B, C, H, W) → (B, K, 2·H, 2·W), by windows of 4×4.

    Args:
        inputs: image channels C.
        outputs: image channels K.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, WINDOW, stride=STRIDE, padding=PADDING)

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
        """Images (B, C, H, W) → (B, K, 2·H, 2·W)."""
        assert self.bias is not None
        arguments = [images, self.weight, self.bias]
        # Autocast does not reach into a custom autograd function, so its inputs are cast here.
        if torch.is_autocast_enabled(images.device.type):
            dtype = torch.get_autocast_dtype(images.device.type)
            arguments = [argument.to(dtype) for argument in arguments]
        output: Tensor = _Upsample.apply(*arguments)  # type: ignore[no-untyped-call]
        return output


class _Upsample(torch.autograd.Function):
    generate_vmap_rule = True  # on a GPU all members are computed by one vmap

    @staticmethod
    def forward(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.conv_transpose2d(images, weight, bias, STRIDE, PADDING)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images, weight = ctx.saved_tensors
        return (
            functional.conv2d(gradient, weight, None, STRIDE, PADDING),
            conv2d_weight(gradient, weight.shape, images, STRIDE, PADDING),  # type: ignore[no-untyped-call]
            gradient.sum((0, 2, 3)),
        )
