"""Which images a network takes: known without building it."""

from vaefrag_core.config import ModelConfig
from vaefrag_core.errors import InvalidInputError

ImageShape = tuple[int, int, int]  # image channels, height, width


def check_images(image_shape: ImageShape, config: ModelConfig) -> None:
    """Say whether an architecture takes images of a shape.

    Raises:
        InvalidInputError: when it does not.
    """
    if config.architecture == "conv28" and image_shape[1:] != (28, 28):
        sentence = (
            f"Architecture conv28 expects images of 28×28 pixels, got {image_shape[1]}×{image_shape[2]}."
            " Use the architecture mlp."
        )
        raise InvalidInputError(sentence, {"model.architecture": sentence})
