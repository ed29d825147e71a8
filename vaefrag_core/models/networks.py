"""The encoders, (B, C, H, W) images in 0…1 → (B, 2·D), and decoders, (B, D) → (B, C, H, W) logits or means."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from vaefrag_core.config import Architecture, ModelConfig
from vaefrag_core.models.custom_networks import build_custom_networks
from vaefrag_core.models.dense import dense
from vaefrag_core.models.image_shapes import ImageShape, check_image_shape
from vaefrag_core.models.upsampling import Upsampling

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


class MLPEncoder(nn.Module):
    """Flattened pixels through fully connected layers to the 2·D numbers of a posterior."""

    def __init__(self, image_shape: ImageShape, config: ModelConfig) -> None:
        super().__init__()
        pixels = image_shape[0] * image_shape[1] * image_shape[2]
        self.layers = dense([pixels, *config.widths, 2 * config.channels], _ACTIVATIONS[config.activation])

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) → (B, 2·D)."""
        output: Tensor = self.layers(images.flatten(1))
        return output


class MLPDecoder(nn.Module):
    """The mirror image of `MLPEncoder`."""

    def __init__(self, image_shape: ImageShape, config: ModelConfig) -> None:
        super().__init__()
        pixels = image_shape[0] * image_shape[1] * image_shape[2]
        widths = reversed(config.widths)
        self.layers = dense([config.channels, *widths, pixels], _ACTIVATIONS[config.activation])
        self.image_shape = image_shape

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (B, D) → (B, C, H, W)."""
        return self.layers(latents).unflatten(1, self.image_shape)  # type: ignore[no-any-return]


class Conv28Encoder(nn.Module):
    """The paper's network for 28×28 images: convolutions of 32 and 64 filters, 4×4, stride 2; then 256 units."""

    def __init__(self, image_shape: ImageShape, config: ModelConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(image_shape[0], 32, 4, stride=2, padding=1),  # 14×14
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),  # 7×7
            nn.Flatten(),
            nn.ReLU(),
            nn.Linear(64 * 7 * 7, 256),
            nn.ReLU(),
            nn.Linear(256, 2 * config.channels),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, 28, 28) → (B, 2·D)."""
        output: Tensor = self.layers(images)
        return output


class Conv28Decoder(nn.Module):
    """The mirror image of `Conv28Encoder`."""

    def __init__(self, image_shape: ImageShape, config: ModelConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(config.channels, 256),
            nn.ReLU(),
            nn.Linear(256, 64 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            Upsampling(64, 32),  # 14×14
            nn.ReLU(),
            Upsampling(32, image_shape[0]),  # 28×28
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (B, D) → (B, C, 28, 28)."""
        output: Tensor = self.layers(latents)
        return output


class Conv64Encoder(nn.Module):
    """The network of Locatello et al. 2019 for 64×64 images: 32, 32, 64 and 64 filters, 4×4, stride 2; then 256 units.

    Reference: Locatello, F. et al. (2019). Challenging common assumptions in the unsupervised learning of
    disentangled representations. ICML. arXiv 1811.12359.
    """

    def __init__(self, image_shape: ImageShape, config: ModelConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((image_shape[0], 32, 32, 64, 64)):  # 32×32, 16×16, 8×8, 4×4
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
        last = dense([64 * 4 * 4, 256, 2 * config.channels], nn.ReLU)
        self.layers = nn.Sequential(*layers, nn.Flatten(), *last)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, 64, 64) → (B, 2·D)."""
        output: Tensor = self.layers(images)
        return output


class Conv64Decoder(nn.Module):
    """The mirror image of `Conv64Encoder`."""

    def __init__(self, image_shape: ImageShape, config: ModelConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [*dense([config.channels, 256, 64 * 4 * 4], nn.ReLU), nn.Unflatten(1, (64, 4, 4))]
        for inputs, outputs in pairwise((64, 64, 32, 32, image_shape[0])):  # 8×8, 16×16, 32×32, 64×64
            layers += [nn.ReLU(), Upsampling(inputs, outputs)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (B, D) → (B, C, 64, 64)."""
        output: Tensor = self.layers(latents)
        return output


def build_networks(image_shape: ImageShape, config: ModelConfig) -> tuple[nn.Module, nn.Module]:
    """Create the encoder and decoder of a config, initialized from torch's global random state.

    Raises:
        InvalidInputError: when the architecture does not take images of that shape, or the user's own network cannot
            be created.
    """
    check_image_shape(image_shape, config)
    if config.network is not None:
        return build_custom_networks(config.network, image_shape, config.channels)
    encoder, decoder = _NETWORKS[config.architecture]
    return encoder(image_shape, config), decoder(image_shape, config)


_NetworkClass = Callable[[ImageShape, ModelConfig], nn.Module]
_NETWORKS: dict[Architecture, tuple[_NetworkClass, _NetworkClass]] = {
    "mlp": (MLPEncoder, MLPDecoder),
    "conv28": (Conv28Encoder, Conv28Decoder),
    "conv64": (Conv64Encoder, Conv64Decoder),
}


def to_channels_last(images: Tensor) -> Tensor:
    """Return images with the image channels innermost in memory, the layout in which CPU convolutions are fastest."""
    return images.contiguous(memory_format=torch.channels_last)
