"""The fully trained members of an ensemble: their networks, at the end and at snapshots along the way."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vaefrag_core.artifacts import Posteriors, Snapshots
from vaefrag_core.artifacts.scratch_arrays import ScratchArray
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.encoding import encode_members
from vaefrag_core.ensemble_record import TrainedSource
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.models.vae import VAE, restore_member
from vaefrag_core.training.batch_schedule import snapshot_steps
from vaefrag_core.training.checkpoints import load_checkpoint, member_statuses
from vaefrag_core.training.divergence import diverged


def trained_members(ensemble_id: str, store: EnsembleStore) -> set[int]:
    """Return the numbers of the members that are fully trained."""
    statuses = member_statuses(store.members_folder(ensemble_id), store.record(ensemble_id).source.n_members)
    return {status.index for status in statuses if status.state == "done"}


def restore_networks(
    ensemble_id: str, store: EnsembleStore, image_shape: tuple[int, int, int], *, step: int | None = None
) -> dict[int, VAE]:
    """Restore the fully trained members, by number.

    Args:
        ensemble_id: the ensemble.
        store: where it lives.
        image_shape: height, width and channels of its images.
        step: a step of `snapshot_steps`, for encoders as they were after it; decoders are always those of the end.
    """
    spec, folder = store.record(ensemble_id).spec, store.members_folder(ensemble_id)
    height, width, image_channels = image_shape
    networks = {}
    for m in range(spec.members):
        checkpoint = load_checkpoint(folder / str(m))
        if checkpoint is not None and checkpoint.state == "done":
            # The last step has no snapshot: it is the checkpoint.
            snapshot = {} if step in (None, checkpoint.step) else checkpoint.snapshots[step]
            networks[m] = restore_member(
                (image_channels, height, width), spec.model, {**checkpoint.weights, **snapshot}
            )
    return networks


def restorable_steps(ensemble_id: str, store: EnsembleStore, posteriors: Posteriors) -> tuple[int, ...]:
    """Return the steps at which all members of these posteriors can be restored; () when they have no networks."""
    source = store.record(ensemble_id).source
    steps = snapshot_steps(source.spec.train) if isinstance(source, TrainedSource) else ()
    return steps if set(posteriors.member_ids.tolist()) <= trained_members(ensemble_id, store) else ()


def encode_snapshots(
    ensemble_id: str, store: EnsembleStore, posteriors: Posteriors, *, on_step: Callable[[], None]
) -> Snapshots:
    """Encode the fingerprint sample with every member of these posteriors, as it was at every snapshot.

    Args:
        ensemble_id: the ensemble.
        store: where it lives.
        posteriors: of the members at the end.
        on_step: called before each step; an exception that it raises ends the work.
    """
    spec = store.record(ensemble_id).spec
    dataset = load_dataset(spec.dataset)
    scratch = store.folder(ensemble_id)
    sample = draw_fingerprint(dataset, spec.fingerprint, scratch=scratch)
    steps = snapshot_steps(spec.train)
    shape = (len(steps), *np.shape(posteriors.mean))
    mean, logvar = (ScratchArray(shape, np.float32, scratch) for _ in range(2))
    for s, step in enumerate(steps):  # one step's networks at a time, which bounds the memory
        on_step()
        members = restore_networks(ensemble_id, store, dataset.image_shape, step=step)
        encoded = encode_members(
            dataset, sample, {m: members[m] for m in posteriors.member_ids.tolist()}, scratch=scratch
        )
        for array, of_members in ((mean, encoded.mean), (logvar, encoded.logvar)):
            for m, values in enumerate(of_members):
                array.write((s, m), values)
    return Snapshots(np.array(steps), mean.read(), logvar.read())


def with_diverged(ensemble_id: str, store: EnsembleStore, posteriors: Posteriors) -> Posteriors:
    """Return the posteriors with the members whose training diverged, by their losses where there are some."""
    if not isinstance(store.record(ensemble_id).source, TrainedSource):
        return posteriors
    members = posteriors.member_ids.tolist()
    statuses = member_statuses(store.members_folder(ensemble_id), max(members) + 1)
    by_losses = diverged({m: statuses[m].loss for m in members})
    return replace(posteriors, diverged=(*by_losses, *posteriors.diverged_members))
