"""The image shapes that each architecture takes, known without building a network."""

from vaefrag_core.config import Architecture, ModelConfig
from vaefrag_core.errors import InvalidInputError

ImageShape = tuple[int, int, int]  # image channels, height, width

SIDES: dict[Architecture, int] = {
    "conv28": 28,
    "conv64": 64,
}  # pixels of a side, for which the convolutions are laid out


def architecture_for(height: int, width: int) -> Architecture:
    """Return the architecture for images of a size, where the user names none.

    Example:
        >>> architecture_for(64, 64), architecture_for(8, 8)
        ('conv64', 'mlp')
    """
    return next((name for name, side in SIDES.items() if (height, width) == (side, side)), "mlp")


def check_image_shape(image_shape: ImageShape, config: ModelConfig) -> None:
    """Check that an architecture takes images of a shape; the user's own networks are checked on a batch instead.

    Raises:
        InvalidInputError: when it does not take them.
    """
    side = SIDES.get(config.architecture)
    if config.network is None and side is not None and image_shape[1:] != (side, side):
        sentence = (
            f"Architecture {config.architecture} expects images of {side}×{side} pixels, got"
            f" {image_shape[1]}×{image_shape[2]}. Use the architecture {architecture_for(*image_shape[1:])}."
        )
        raise InvalidInputError(sentence, {"model.architecture": sentence})
