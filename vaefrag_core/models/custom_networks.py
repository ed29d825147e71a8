"""Encoders and decoders that users bring along, by import path.

`package.module:Class` names a `torch.nn.Module` that is made as `Class(image_shape, channels)`, with the images' shape
(image channels, height, width) and the number D of latent channels, and has two attributes:

    encoder     a module: images (B, C, H, W) in 0…1 → (B, 2·D), the D means, then the D values of ln σ²
    decoder     a module: latents (B, D) → (B, C, H, W), logits under the Bernoulli likelihood, else mean pixels

Both must give the same for the same input (no dropout), and hold parameters only: no buffers, so no batch
normalization, and no parameter twice. All else of a member (seed, checkpoint, optimizer) is as ever.

The path is code that will be run. Only commands and scripts take one, never a page.
"""

from importlib import import_module

import torch
from torch import Tensor, nn

from vaefrag_core.config import ModelConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.models.image_shapes import ImageShape


def build_custom_networks(path: str, image_shape: ImageShape, channels: int) -> tuple[nn.Module, nn.Module]:
    """Make the encoder and decoder that an import path names, initialized from torch's global random state.

    Args:
        path: package.module:Class.
        image_shape: image channels, height, width.
        channels: D.

    Raises:
        InvalidInputError: when it cannot be imported or made, or has no encoder and decoder.
    """
    module_name, _, name = path.partition(":")
    try:
        made = getattr(import_module(module_name), name)(image_shape, channels)
    except Exception as error:  # the code is the user's
        raise _wrong(
            path,
            "a class that can be imported and made with (image_shape, channels)",
            f"{type(error).__name__}: {error}",
            "Install its package wherever members are trained, or put its folder on PYTHONPATH.",
        ) from error
    parts = getattr(made, "encoder", None), getattr(made, "decoder", None)
    if not all(isinstance(part, nn.Module) for part in parts):
        got = " and ".join(type(part).__name__ for part in parts)
        raise _wrong(path, "the attributes encoder and decoder, both torch.nn.Module", got, "See docs/training.md.")
    return parts  # type: ignore[return-value]


def check_custom_networks(vae: nn.Module, images: Tensor, config: ModelConfig) -> None:
    """Hold a network of one's own against what it must be, on the first images that it sees.

    Args:
        vae: made of it.
        images: (B, C, H, W).
        config: names it.

    Raises:
        InvalidInputError: saying what was expected and what came.
    """
    path, see = str(config.network), "See docs/training.md, “Networks of your own”."
    if set(vae.state_dict()) != {name for name, _ in vae.named_parameters()}:
        extra = sorted(set(vae.state_dict()) - {name for name, _ in vae.named_parameters()})
        raise _wrong(path, "parameters only, each once", f"buffers or shared ones: {', '.join(extra)}", see)
    latents = torch.zeros(len(images), config.channels)
    parts = (
        ("encoder", images, (len(images), 2 * config.channels)),
        ("decoder", latents, tuple(images.shape)),
    )
    for name, given, shape in parts:
        part = getattr(vae, name)
        try:
            with torch.no_grad():
                first, again = part(given), part(given)
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            raise _wrong(path, f"that its {name} takes {tuple(given.shape)}", got, see) from error
        if not isinstance(first, Tensor) or tuple(first.shape) != shape:
            got = str(tuple(first.shape)) if isinstance(first, Tensor) else type(first).__name__
            raise _wrong(path, f"{shape} from its {name} for {tuple(given.shape)}", got, see)
        if not torch.equal(first, again):
            got = "numbers that are not finite" if not first.isfinite().all() else "two results"
            raise _wrong(path, f"one finite result of its {name} for one input", got, see)


def _wrong(path: str, expected: str, got: str, advice: str) -> InvalidInputError:
    sentence = f"Network {path}: expected {expected}, got {got.splitlines()[0].rstrip('.')}. {advice}"
    return InvalidInputError(sentence, {"model.network": sentence})
