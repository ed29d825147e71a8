"""The posteriors of an ensemble: every member encodes the same fingerprint sample."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaefrag_core.array_types import Float32Array
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.artifacts.scratch_arrays import ScratchArray
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.fingerprint import FingerprintSample
from vaefrag_core.models.vae import VAE

BATCH_IMAGES = 500  # bounds the memory of convolutions

Progress = Callable[[int, int], None]


def encode_members(
    dataset: ImageDataset,
    sample: FingerprintSample,
    members: Mapping[int, VAE],
    *,
    scratch: Path | None = None,
    on_progress: Progress = lambda done, n_images: None,
) -> Posteriors:
    """Encode the fingerprint sample with every member, some images at a time.

    Args:
        dataset: the data set that the sample was drawn from.
        sample: N images.
        members: the networks, by member number, all of as many channels.
        scratch: a folder on whose disk posteriors are kept instead of memory, in files that have no name there and are
            gone with the result.
        on_progress: called with images encoded and N; an exception that it raises ends the work.

    Returns:
        Posteriors (M, N, D) with the sample's labels, identifiers, images, copies and id, members in ascending order.

    Raises:
        OSError: when the disk of `scratch` is full.
    """
    order = sorted(members)
    n_images = len(sample.index)
    one_image = torch.from_numpy(dataset.batch(sample.index[:1]))
    shape = (len(order), n_images, _encode(members[order[0]], one_image)[0].shape[1])
    mean, logvar = (ScratchArray(shape, np.float32, scratch) for _ in range(2))
    on_progress(0, n_images)
    for first in range(0, n_images, BATCH_IMAGES):
        images = torch.from_numpy(dataset.batch(sample.index[first : first + BATCH_IMAGES]))
        for position, member in enumerate(order):
            for array, values in zip((mean, logvar), _encode(members[member], images), strict=True):
                array.write((position, first), values)
        on_progress(first + len(images), n_images)
    return Posteriors(
        mean=mean.read(),
        logvar=logvar.read(),
        labels=sample.labels,
        label_names=sample.label_names,
        images=sample.images,
        sample_id=sample.sample_id,
        member_ids=np.array(order),
        copy_of=sample.copy_of,
        identifiers=sample.identifiers,
    )


def _encode(vae: VAE, images: Tensor) -> tuple[Float32Array, Float32Array]:
    """Return means and ln σ² of one member, each (B, D)."""
    with torch.inference_mode():
        mean, logvar = vae.encode(images)
    return mean.numpy(), logvar.numpy()
