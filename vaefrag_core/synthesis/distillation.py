"""A small encoder taught by a fused space, so that images outside the sample can be placed in it."""

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

TEST_SHARE, CHOICE_SHARE = 0.2, 0.1  # of the images: judged on, and used to say when to stop
LEAST_IMAGES = 20
BATCH, RATE, LOOK = 64, 1e-3, 50  # images and rate of a step of Adam; steps between two looks at the second share
PATIENCE = 6  # looks without a better one before it ends
NATS_PER_BIT = float(np.log(2))


@dataclass(frozen=True, eq=False)
class Embedder:
    """An encoder into a fused space.

    Args:
        image_shape: image channels, height, width.
        config: of the network.
        network: whose encoder it is.
        error_bits: KL(fused ‖ encoded) on images it was not taught with, mean per image, bits.
        taught_error_bits: the same on those it was taught with.
        explained: share of the variance of the fused means that it explains on images it was not taught with.
        held_out: how many those are.
    """

    image_shape: ImageShape
    config: ModelConfig
    network: VAE
    error_bits: float
    taught_error_bits: float
    explained: float
    held_out: int

    def embed(self, images: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Place images (B, C, H, W), as `ImageDataset.batch` gives them, in the fused space: mean and ln σ², (B, d).

        Raises:
            InvalidInputError: when they have another shape than those it was taught with.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != tuple(self.image_shape):
            raise InvalidInputError(
                f"Expected images of shape (images, {', '.join(map(str, self.image_shape))}), got {images.shape}."
            )
        with torch.inference_mode():
            mean, logvar = self.network.encode(torch.from_numpy(images))
        return mean.numpy(), logvar.numpy()

    def facts(self) -> dict[str, Any]:
        """Give what is known about it as JSON content."""
        names = ("error_bits", "taught_error_bits", "explained", "held_out")
        return {"architecture": self.config.architecture, **{name: getattr(self, name) for name in names}}

    def save(self, path: Path) -> None:
        """Write into a file."""
        facts = {name: repr(getattr(self, name)) for name in ("error_bits", "taught_error_bits", "explained")}
        facts |= {"held_out": str(self.held_out), "image_shape": ",".join(map(str, self.image_shape))}
        weights = {name: value.contiguous() for name, value in self.network.encoder.state_dict().items()}
        save_file(weights, path, metadata=facts | {"config": self.config.model_dump_json()})

    @classmethod
    def load(cls, path: Path) -> "Embedder":
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
            numbers = {name: float(facts[name]) for name in ("error_bits", "taught_error_bits", "explained")}
            return cls((channels, height, width), config, network, **numbers, held_out=int(facts["held_out"]))
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            raise BrokenFileError(f"{path} is not an encoder that can be read ({error}). Fuse again.") from error


def distil(
    fused: FusedSpace,
    images: Float32Array,
    model: ModelConfig,
    *,
    steps: int = 2_000,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda step, steps: None,
) -> Embedder:
    """Teach an encoder to give the fused posteriors.

    It minimizes KL(fused ‖ encoded), so that it widens a posterior where it does not know better. Seven in ten images
    teach, one in ten says when to stop, two in ten are held out and tell the error.

    Args:
        fused: on N images.
        images: (N, C, H, W) those images, as `ImageDataset.batch` gives them.
        model: of the ensemble; its architecture is the encoder's.
        steps: of Adam.
        seed: of the first weights, of what is held out and of batches.
        on_progress: called with steps made and all steps; an exception that it raises ends the work.

    Raises:
        InvalidInputError: when the images are too few, or not as many as the fused space has.
    """
    count = len(fused.mean)
    if len(images) != count or count < LEAST_IMAGES:
        raise InvalidInputError(
            f"Expected the {count:,} images of the fused space, and {LEAST_IMAGES} or more, to teach an encoder,"
            f" got {len(images):,}."
        )
    shape: ImageShape = (images.shape[1], images.shape[2], images.shape[3])
    config = model.model_copy(update={"channels": fused.mean.shape[1]})
    network = build_member(shape, config, seed)
    inputs = torch.from_numpy(images)
    target = torch.from_numpy(np.stack([fused.mean, fused.logvar]).astype(np.float32))  # (2, N, d)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator)
    test, choice = order[: int(TEST_SHARE * count)], order[int(TEST_SHARE * count) :][: int(CHOICE_SHARE * count)]
    taught = order[len(test) + len(choice) :]
    optimizer = torch.optim.Adam(network.encoder.parameters(), RATE)
    best, kept, idle = float("inf"), network.encoder.state_dict(), 0
    for step in range(1, steps + 1):
        batch = taught[torch.randint(len(taught), (BATCH,), generator=generator)]
        loss = _kl_nats(target[:, batch], network.encode(inputs[batch])).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % LOOK == 0 or step == steps:
            error = _error_bits(network, inputs[choice], target[:, choice])
            idle += 1
            if error < best:
                idle, best = 0, error
                kept = {name: value.clone() for name, value in network.encoder.state_dict().items()}
            on_progress(steps if idle >= PATIENCE else step, steps)
            if idle >= PATIENCE:
                break
    network.encoder.load_state_dict(kept)
    network.eval()
    with torch.inference_mode():
        missed = (network.encode(inputs[test])[0] - target[0, test]).square().sum()
        spread = (target[0, test] - target[0, test].mean(dim=0)).square().sum()
    return Embedder(
        shape,
        config,
        network,
        error_bits=_error_bits(network, inputs[test], target[:, test]),
        taught_error_bits=_error_bits(network, inputs[taught], target[:, taught]),
        explained=float(1 - missed / spread) if spread > 0 else 0.0,
        held_out=len(test),
    )


def _error_bits(network: VAE, inputs: Tensor, target: Tensor) -> float:
    with torch.inference_mode():
        return float(_kl_nats(target, network.encode(inputs)).mean()) / NATS_PER_BIT


def _kl_nats(target: Tensor, found: tuple[Tensor, Tensor]) -> Tensor:
    """KL of the target posteriors (2, B, d) from those found: (B,) nats."""
    (mean, logvar), (found_mean, found_logvar) = target, found
    ratio = (logvar.exp() + (mean - found_mean).square()) * torch.exp(-found_logvar)
    nats: Tensor = 0.5 * (ratio - 1 + found_logvar - logvar).sum(dim=1)
    return nats
