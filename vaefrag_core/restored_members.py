"""The members of an ensemble that are trained to the end: their networks, now and as they were on the way."""

from collections.abc import Callable

import numpy as np

from vaefrag_core.artifacts import Posteriors, Snapshots
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.encoding import encode_members
from vaefrag_core.ensemble_record import TrainedSource
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.models.vae import VAE, restore_member
from vaefrag_core.training.batch_schedule import snapshot_steps
from vaefrag_core.training.checkpoints import load_checkpoint, member_statuses


def members_done(ensemble_id: str, store: EnsembleStore) -> set[int]:
    """Give the numbers of the members that are trained to the end."""
    statuses = member_statuses(store.members_folder(ensemble_id), store.record(ensemble_id).source.n_members)
    return {status.index for status in statuses if status.state == "done"}


def networks(
    ensemble_id: str, store: EnsembleStore, image_shape: tuple[int, int, int], *, step: int | None = None
) -> dict[int, VAE]:
    """Restore the members that are trained to the end, by number.

    Args:
        ensemble_id: the ensemble.
        store: where it lives.
        image_shape: height, width and channels of its images.
        step: a step of `snapshot_steps`; encoders are then as they were after it, decoders as at the end.
    """
    spec, folder = store.record(ensemble_id).spec, store.members_folder(ensemble_id)
    height, width, image_channels = image_shape
    found = {}
    for m in range(spec.members):
        checkpoint = load_checkpoint(folder / str(m))
        if checkpoint is not None and checkpoint.state == "done":
            then = {} if step in (None, checkpoint.step) else checkpoint.snapshots[step]
            found[m] = restore_member((image_channels, height, width), spec.model, {**checkpoint.weights, **then})
    return found


def snapshots_kept(ensemble_id: str, store: EnsembleStore, posteriors: Posteriors) -> tuple[int, ...]:
    """Give the steps at which the members that have these posteriors were kept; none where there are no members."""
    source = store.record(ensemble_id).source
    steps = snapshot_steps(source.spec.train) if isinstance(source, TrainedSource) else ()
    return steps if set(posteriors.member_ids.tolist()) <= members_done(ensemble_id, store) else ()


def encode_snapshots(
    ensemble_id: str, store: EnsembleStore, posteriors: Posteriors, *, on_step: Callable[[], None]
) -> Snapshots:
    """Encode the fingerprint sample with every member that has these posteriors, as it was at every step kept.

    Args:
        ensemble_id: the ensemble.
        store: where it lives.
        posteriors: at the end.
        on_step: called before each step; an exception that it raises ends the work.
    """
    spec = store.record(ensemble_id).spec
    dataset = load_dataset(spec.dataset)
    sample = draw_fingerprint(dataset, spec.fingerprint)
    steps = snapshot_steps(spec.train)
    found = []
    for step in steps:
        on_step()
        members = networks(ensemble_id, store, dataset.image_shape, step=step)
        found.append(encode_members(dataset, sample, {m: members[m] for m in posteriors.member_ids.tolist()}))
    return Snapshots(np.array(steps), np.stack([p.mean for p in found]), np.stack([p.logvar for p in found]))
