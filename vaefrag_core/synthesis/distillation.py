"""A small encoder trained to reproduce a fused space, so that images outside the sample can be placed in it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vaefrag_core.array_types import Float32Array
from vaefrag_core.artifacts import FusedSpace
from vaefrag_core.config import ModelConfig
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError
from vaefrag_core.models.image_shapes import ImageShape
from vaefrag_core.models.vae import VAE, build_member

TEST_SHARE = 0.2  # of the images, on which the error is measured at the end
VALIDATION_SHARE = 0.1  # of the images, by which early stopping decides
MIN_IMAGES = 20
BATCH_SIZE, LEARNING_RATE = 64, 1e-3
STEPS_BETWEEN_VALIDATIONS = 50
PATIENCE = 6  # validations without a lower error before training ends
NATS_PER_BIT = float(np.log(2))

# Names of the figures in files and JSON, which were there before the attributes had these names.
STORED_NAMES = {
    "error_bits": "error_bits",
    "training_error_bits": "taught_error_bits",
    "explained_variance": "explained",
}


@dataclass(frozen=True, eq=False)
class DistilledEncoder:
    """An encoder into a fused space.

    Args:
        image_shape: image channels, height, width.
        config: of the network.
        network: the VAE whose encoder it is.
        error_bits: KL(fused ‖ encoded) on held-out images, mean per image, bits.
        training_error_bits: the same on the images of the training.
        explained_variance: share of the variance of the fused means that it explains on held-out images.
        held_out: number of held-out images.
    """

    image_shape: ImageShape
    config: ModelConfig
    network: VAE
    error_bits: float
    training_error_bits: float
    explained_variance: float
    held_out: int

    def encode(self, images: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return where images lie in the fused space: mean and ln σ², each (B, d).

        Args:
            images: (B, C, H, W), as `ImageDataset.batch` returns them.

        Raises:
            InvalidInputError: when their shape is not that of the images of the training.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != tuple(self.image_shape):
            raise InvalidInputError(
                f"Expected images of shape (images, {', '.join(map(str, self.image_shape))}), got {images.shape}."
            )
        with torch.inference_mode():
            mean, logvar = self.network.encode(torch.from_numpy(images))
        return mean.numpy(), logvar.numpy()

    def facts(self) -> dict[str, Any]:
        """Return its architecture and its figures as JSON content."""
        figures = {stored: getattr(self, name) for name, stored in STORED_NAMES.items()}
        return {"architecture": self.config.architecture, **figures, "held_out": self.held_out}

    def save(self, path: Path) -> None:
        """Write into a file."""
        facts = {stored: repr(getattr(self, name)) for name, stored in STORED_NAMES.items()}
        facts |= {"held_out": str(self.held_out), "image_shape": ",".join(map(str, self.image_shape))}
        weights = {name: value.contiguous() for name, value in self.network.encoder.state_dict().items()}
        save_file(weights, path, metadata=facts | {"config": self.config.model_dump_json()})

    @classmethod
    def load(cls, path: Path) -> "DistilledEncoder":
        """Read what `save` wrote.

        Raises:
            MissingDataError: when there is no such file.
            BrokenFileError: when it cannot be read.
        """
        if not path.is_file():
            raise MissingDataError(f"There is no encoder {path}. Fuse again where the images are at hand.")
        try:
            with safe_open(path, framework="pt") as file:
                facts = file.metadata() or {}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            config = ModelConfig.model_validate_json(facts["config"])
            channels, height, width = map(int, facts["image_shape"].split(","))
            network = build_member((channels, height, width), config, seed=0).eval()
            network.encoder.load_state_dict(weights)
            figures = {name: float(facts[stored]) for name, stored in STORED_NAMES.items()}
            return cls((channels, height, width), config, network, **figures, held_out=int(facts["held_out"]))
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            raise BrokenFileError(f"{path} is not an encoder that can be read ({error}). Fuse again.") from error


def distill_encoder(
    fused: FusedSpace,
    images: Float32Array,
    model: ModelConfig,
    *,
    steps: int = 2_000,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda step, steps: None,
) -> DistilledEncoder:
    """Train an encoder to return the fused posteriors.

    It minimizes KL(fused ‖ encoded), so that it widens a posterior that it cannot predict. Seven in ten images are
    trained on, one in ten decides when to stop, and two in ten are held out to measure the error.

    Args:
        fused: a space on N images.
        images: (N, C, H, W) those images, as `ImageDataset.batch` returns them.
        model: of the ensemble; its architecture is the encoder's.
        steps: of Adam, at most.
        seed: of the first weights, of what is held out and of batches.
        on_progress: called with steps made and all steps; an exception that it raises ends the training.

    Raises:
        InvalidInputError: when the images are too few, or not as many as the fused space has.
    """
    count = len(fused.mean)
    if len(images) != count or count < MIN_IMAGES:
        raise InvalidInputError(
            f"Expected the {count:,} images of the fused space, and {MIN_IMAGES} or more, to teach an encoder,"
            f" got {len(images):,}."
        )
    shape: ImageShape = (images.shape[1], images.shape[2], images.shape[3])
    config = model.model_copy(update={"channels": fused.mean.shape[1]})
    network = build_member(shape, config, seed)
    inputs = torch.from_numpy(images)
    target = torch.from_numpy(np.stack([fused.mean, fused.logvar]).astype(np.float32))  # (2, N, d)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator)
    n_test, n_validation = int(TEST_SHARE * count), int(VALIDATION_SHARE * count)
    test, validation = order[:n_test], order[n_test : n_test + n_validation]
    train = order[n_test + n_validation :]
    optimizer = torch.optim.Adam(network.encoder.parameters(), LEARNING_RATE)
    lowest_error, best_weights, stalled = float("inf"), network.encoder.state_dict(), 0
    for step in range(1, steps + 1):
        batch = train[torch.randint(len(train), (BATCH_SIZE,), generator=generator)]
        loss = _kl_nats(target[:, batch], network.encode(inputs[batch])).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % STEPS_BETWEEN_VALIDATIONS == 0 or step == steps:
            error = _error_bits(network, inputs[validation], target[:, validation])
            stalled += 1
            if error < lowest_error:
                stalled, lowest_error = 0, error
                # A copy: the optimizer changes the weights in place.
                best_weights = {name: value.clone() for name, value in network.encoder.state_dict().items()}
            ended = stalled >= PATIENCE
            on_progress(steps if ended else step, steps)
            if ended:
                break
    network.encoder.load_state_dict(best_weights)
    network.eval()
    with torch.inference_mode():
        unexplained = (network.encode(inputs[test])[0] - target[0, test]).square().sum()
        total = (target[0, test] - target[0, test].mean(dim=0)).square().sum()
    return DistilledEncoder(
        shape,
        config,
        network,
        error_bits=_error_bits(network, inputs[test], target[:, test]),
        training_error_bits=_error_bits(network, inputs[train], target[:, train]),
        explained_variance=float(1 - unexplained / total) if total > 0 else 0.0,
        held_out=len(test),
    )


def _error_bits(network: VAE, inputs: Tensor, target: Tensor) -> float:
    """Return KL(target ‖ encoded), mean per image, bits."""
    with torch.inference_mode():
        return float(_kl_nats(target, network.encode(inputs)).mean()) / NATS_PER_BIT


def _kl_nats(target: Tensor, encoded: tuple[Tensor, Tensor]) -> Tensor:
    """Return KL of the target posteriors, (2, B, d), from those encoded: (B,) nats."""
    (target_mean, target_logvar), (mean, logvar) = target, encoded
    ratio = (target_logvar.exp() + (target_mean - mean).square()) * torch.exp(-logvar)
    nats: Tensor = 0.5 * (ratio - 1 + logvar - target_logvar).sum(dim=1)
    return nats
