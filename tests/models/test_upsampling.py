"""The transposed convolution of decoders, held against PyTorch's own."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from vaefrag_core.models.upsampling import Upsampling


@pytest.fixture
def doubling() -> Upsampling:
    torch.manual_seed(0)
    return Upsampling(3, 2).double()


def images_of(count: int) -> Tensor:
    return torch.randn(count, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def gradients_of(layer: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Give what a layer makes of images, and the gradients of a sum that weighs all of it differently."""
    images = images.clone().requires_grad_()
    output = layer(images)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return (output, *torch.autograd.grad((output * weights).sum(), [images, *layer.parameters()]))


def test_images_and_gradients_are_those_of_pytorch_s_own(doubling: Upsampling) -> None:
    own = nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1).double()
    own.load_state_dict(doubling.state_dict())
    ours, theirs = gradients_of(doubling, images_of(3)), gradients_of(own, images_of(3))
    assert ours[0].shape == (3, 2, 10, 8)
    assert len(ours) == 4
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_gradients_are_what_differences_say(doubling: Upsampling) -> None:
    images = images_of(1).requires_grad_()
    parameters = dict(doubling.named_parameters())
    torch.autograd.gradcheck(
        lambda images, *values: functional_call(doubling, dict(zip(parameters, values, strict=True)), images),
        (images, *parameters.values()),
    )


def test_members_computed_together_get_the_same(doubling: Upsampling) -> None:
    stacked = {name: torch.stack([p, 2 * p]).detach().requires_grad_() for name, p in doubling.named_parameters()}
    images = images_of(4).unflatten(0, (2, 2))
    output = vmap(lambda parameters, images: functional_call(doubling, parameters, images))(stacked, images)
    gradients = torch.autograd.grad(output.square().sum(), list(stacked.values()))
    for m in range(2):
        alone = {name: p[m].detach().requires_grad_() for name, p in stacked.items()}
        expected = functional_call(doubling, alone, images[m])
        torch.testing.assert_close(output[m], expected)
        for together, one in zip(
            gradients, torch.autograd.grad(expected.square().sum(), list(alone.values())), strict=True
        ):
            torch.testing.assert_close(together[m], one)


def test_autocast_reaches_products_and_gradients(doubling: Upsampling) -> None:
    doubling.float()
    with torch.autocast("cpu", torch.bfloat16):
        output, *gradients = gradients_of(doubling, images_of(2).float())
    assert output.dtype == torch.bfloat16
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    for rough, fine in zip(gradients, gradients_of(doubling, images_of(2).float())[1:], strict=True):
        torch.testing.assert_close(rough, fine, rtol=0.05, atol=0.05)
