"""Networks as a user may bring them along: one that is right, and some that are not."""

import torch
from torch import Tensor, nn


class Sound(nn.Module):
    """As it should be; encoder and decoder of any kind."""

    def __init__(self, image_shape: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        pixels = image_shape[0] * image_shape[1] * image_shape[2]
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 16), nn.SiLU(), nn.Linear(16, 2 * channels))
        self.decoder = nn.Sequential(nn.Linear(channels, pixels), nn.Unflatten(1, image_shape))


class OnlyEncoder(Sound):
    def __init__(self, image_shape: tuple[int, int, int], channels: int) -> None:
        super().__init__(image_shape, channels)
        del self.decoder


class MeansOnly(Sound):
    def __init__(self, image_shape: tuple[int, int, int], channels: int) -> None:
        super().__init__(image_shape, channels)
        self.encoder[3] = nn.Linear(16, channels)


class OtherImages(Sound):
    def __init__(self, image_shape: tuple[int, int, int], channels: int) -> None:
        super().__init__((1, 28, 28), channels)


class Normalized(Sound):
    def __init__(self, image_shape: tuple[int, int, int], channels: int) -> None:
        super().__init__(image_shape, channels)
        self.encoder[2] = nn.BatchNorm1d(16)


class Random(Sound):
    def __init__(self, image_shape: tuple[int, int, int], channels: int) -> None:
        super().__init__(image_shape, channels)
        self.encoder[2] = nn.Dropout()


class NotFinite(Sound):
    def __init__(self, image_shape: tuple[int, int, int], channels: int) -> None:
        super().__init__(image_shape, channels)
        self.decoder.append(_Root())


class Breaking(Sound):
    """Right on the first batches, which are looked at, and not for long after them."""

    def __init__(self, image_shape: tuple[int, int, int], channels: int) -> None:
        super().__init__(image_shape, channels)
        self.decoder.append(_Breaking())


class _Breaking(nn.Module):
    calls = 0

    def forward(self, output: Tensor) -> Tensor:
        _Breaking.calls += 1
        return output / (1 // int(_Breaking.calls < 30))


class _Root(nn.Module):
    def forward(self, output: Tensor) -> Tensor:
        return torch.sqrt(-1 - output.square())


class Unfinished(nn.Module):
    def __init__(self) -> None:
        super().__init__()


class Lazy(nn.Module):
    """Its encoder is made when it is asked for, which fails."""

    def __init__(self, image_shape: tuple[int, int, int], channels: int) -> None:
        super().__init__()

    @property
    def encoder(self) -> nn.Module:
        raise ValueError("no file of weights")
