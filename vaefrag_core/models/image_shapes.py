"""Which images a network takes: known without building it."""

from vaefrag_core.config import Architecture, ModelConfig
from vaefrag_core.errors import InvalidInputError

ImageShape = tuple[int, int, int]  # image channels, height, width

SIDES: dict[Architecture, int] = {"conv28": 28, "conv64": 64}  # pixels of the images that convolutions are laid out for


def architecture_for(height: int, width: int) -> Architecture:
    """Choose the architecture for images whose architecture was left open.

    Example:
        >>> architecture_for(64, 64), architecture_for(8, 8)
        ('conv64', 'mlp')
    """
    return next((name for name, side in SIDES.items() if (height, width) == (side, side)), "mlp")


def check_images(image_shape: ImageShape, config: ModelConfig) -> None:
    """Say whether an architecture takes images of a shape. Of a network of one's own its first batch tells.

    Raises:
        InvalidInputError: when it does not.
    """
    side = SIDES.get(config.architecture)
    if config.network is None and side is not None and image_shape[1:] != (side, side):
        sentence = (
            f"Architecture {config.architecture} expects images of {side}×{side} pixels, got"
            f" {image_shape[1]}×{image_shape[2]}. Use the architecture {architecture_for(*image_shape[1:])}."
        )
        raise InvalidInputError(sentence, {"model.architecture": sentence})
