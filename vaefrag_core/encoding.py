"""Every member looks at the same fingerprint sample: networks become posteriors."""

from collections.abc import Mapping

import numpy as np
import torch

from vaefrag_core.array_types import Float32Array
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.fingerprint import FingerprintSample
from vaefrag_core.models.vae import VAE

BATCH_IMAGES = 500  # bounds the memory of convolutions; has no effect on the result


def encode_members(dataset: ImageDataset, sample: FingerprintSample, members: Mapping[int, VAE]) -> Posteriors:
    """Encode the fingerprint sample with every member.

    Args:
        dataset: that the sample was drawn from.
        sample: N images.
        members: the networks, by the members' numbers.

    Returns:
        Posteriors (M, N, D) with the sample's labels, images and id, members in ascending order.
    """
    images = dataset.batch(sample.index)
    order = sorted(members)
    pairs = [_encode(members[m], images) for m in order]
    return Posteriors(
        mean=np.stack([mean for mean, _ in pairs]),
        logvar=np.stack([logvar for _, logvar in pairs]),
        labels=sample.labels,
        label_names=sample.label_names,
        images=sample.images,
        sample_id=sample.sample_id,
        member_ids=np.array(order),
        copy_of=sample.copy_of,
    )


def _encode(vae: VAE, images: Float32Array) -> tuple[Float32Array, Float32Array]:
    with torch.inference_mode():
        parts = [
            vae.encode(torch.from_numpy(images[i : i + BATCH_IMAGES])) for i in range(0, len(images), BATCH_IMAGES)
        ]
    mean, logvar = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return mean, logvar
