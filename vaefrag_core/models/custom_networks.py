"""The user's own encoders and decoders, named by an import path.

`package.module:Class` names a `torch.nn.Module` that is created as `Class(image_shape, channels)`, with the images'
shape (image channels, height, width) and the number D of latent channels, and has two attributes:

    encoder     a module: images (B, C, H, W) in 0…1 → (B, 2·D), the D means, then the D values of ln σ²
    decoder     a module: latents (B, D) → (B, C, H, W), logits under the Bernoulli likelihood, else mean pixels

Both must give the same for the same input (no dropout), and hold parameters only: no buffers, so no batch
normalization, and no parameter twice. Seeds, checkpoints and the optimizer work as for the built-in networks.

The path names code that is run: commands and scripts take one, pages never do.
"""

from importlib import import_module

import torch
from torch import Tensor, nn

from vaefrag_core.config import ModelConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.models.image_shapes import ImageShape


def build_custom_networks(path: str, image_shape: ImageShape, channels: int) -> tuple[nn.Module, nn.Module]:
    """Create the encoder and decoder that an import path names, initialized from torch's global random state.

    Args:
        path: package.module:Class.
        image_shape: image channels, height, width.
        channels: D.

    Raises:
        InvalidInputError: when it cannot be imported or created, or has no encoder and decoder.
    """
    module_name, _, name = path.partition(":")
    try:
        network = getattr(import_module(module_name), name)(image_shape, channels)
        parts = getattr(network, "encoder", None), getattr(network, "decoder", None)
    # The code is the user's and may raise anything. A script that was not meant to be imported may end the program.
    except (Exception, SystemExit) as error:
        raise _network_error(
            path,
            "a class that can be imported and made with (image_shape, channels)",
            f"{type(error).__name__}: {error}",
            "Install its package wherever members are trained, or put its folder on PYTHONPATH.",
        ) from error
    encoder, decoder = parts
    if not isinstance(encoder, nn.Module) or not isinstance(decoder, nn.Module):
        got = f"{type(encoder).__name__} and {type(decoder).__name__}"
        expected = "the attributes encoder and decoder, both torch.nn.Module"
        raise _network_error(path, expected, got, "See docs/training.md.")
    return encoder, decoder


def check_custom_networks(vae: nn.Module, images: Tensor, config: ModelConfig) -> None:
    """Check that the user's own network is as this module asks, by encoding and decoding a few images.

    Args:
        vae: the VAE of its encoder and decoder.
        images: (B, C, H, W).
        config: the model that names it.

    Raises:
        InvalidInputError: when it is not; the message says what was expected and what it does.
    """
    path, advice = str(config.network), "See docs/training.md, “Networks of your own”."
    if set(vae.state_dict()) != {name for name, _ in vae.named_parameters()}:
        extra = sorted(set(vae.state_dict()) - {name for name, _ in vae.named_parameters()})
        raise _network_error(path, "parameters only, each once", f"buffers or shared ones: {', '.join(extra)}", advice)
    latents = torch.zeros(len(images), config.channels)
    checks = (
        ("encoder", images, (len(images), 2 * config.channels)),
        ("decoder", latents, tuple(images.shape)),
    )
    for name, batch, shape in checks:
        part = getattr(vae, name)
        try:
            with torch.no_grad():
                once, again = part(batch), part(batch)
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            raise _network_error(path, f"that its {name} takes {tuple(batch.shape)}", got, advice) from error
        if not isinstance(once, Tensor) or tuple(once.shape) != shape:
            got = str(tuple(once.shape)) if isinstance(once, Tensor) else type(once).__name__
            raise _network_error(path, f"{shape} from its {name} for {tuple(batch.shape)}", got, advice)
        if not torch.equal(once, again):  # also where both have NaN, which equals nothing
            got = "numbers that are not finite" if not once.isfinite().all() else "two results"
            raise _network_error(path, f"one finite result of its {name} for one input", got, advice)


def _network_error(path: str, expected: str, got: str, advice: str) -> InvalidInputError:
    sentence = f"Network {path}: expected {expected}, got {got.splitlines()[0].rstrip('.')}. {advice}"
    return InvalidInputError(sentence, {"model.network": sentence})
