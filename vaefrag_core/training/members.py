"""Trains a group of members side by side, slice by slice, with checkpoints, progress and a way to stop.

Small networks are stacked: one batched operation steps all members at once. Convolutions on a CPU run one
member after the other. Either way a member's numbers depend on its seed alone, to the last bit, since every
member has its own schedule and the work is done by one thread: sums over threads are cut differently for
different group sizes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, vmap

from vaefrag_core.config import EnsembleSpec
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.models.networks import in_channels_last
from vaefrag_core.models.objectives import kl_nats, objective, reconstruction_nats
from vaefrag_core.models.vae import VAE, build_member, member_seed
from vaefrag_core.training.checkpoints import (
    Checkpoint,
    History,
    MemberState,
    MemberStatus,
    load_checkpoint,
    save_checkpoint,
)
from vaefrag_core.training.schedule import NOISE_BLOCK_STEPS, Schedule
from vaefrag_core.training.stack import ParameterStack

SLICE_STEPS = NOISE_BLOCK_STEPS  # steps between two rows of the history, two progress reports, two looks at the stop
CHECKPOINT_SECONDS = 5.0  # a slice of a slow network may take as long again: never more than 10 s are lost

OnProgress = Callable[[Sequence[MemberStatus]], None]
ShouldStop = Callable[[], bool]
Save = Callable[[Path, Checkpoint], None]  # a member's folder, and what to keep there


def train_members(
    spec: EnsembleSpec,
    dataset: ImageDataset,
    members: Sequence[int],
    folder: Path,
    *,
    device: str = "cpu",
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop = lambda: False,
    save: Save = save_checkpoint,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> list[MemberStatus]:
    """Train members from where their checkpoints left them to the spec's last step.

    Args:
        spec: of the ensemble.
        dataset: the images the spec names.
        members: numbers of the members to train side by side.
        folder: the ensemble's `members` folder.
        device: where the networks run.
        on_progress: called after every slice with the state of the members it moved.
        should_stop: asked after every slice; when it says yes, checkpoints are written and the work ends.
        save: puts a member's checkpoint where the next call with the same `folder` finds it.
        checkpoint_seconds: between two checkpoints.

    Returns:
        The state of each member; "running" for those that were stopped. A member whose loss is no longer
        finite is "failed", with a message that names step and loss, and keeps its last sound checkpoint.

    Raises:
        BrokenFileError: when a checkpoint cannot be read.
        InvalidInputError: when the architecture does not take the images.
    """
    height, width, image_channels = dataset.image_shape
    start = {m: load_checkpoint(folder / str(m)) or _first(spec, (image_channels, height, width), m) for m in members}
    statuses = {m: _status(m, checkpoint) for m, checkpoint in start.items()}
    pending = [m for m in members if statuses[m].state == "running"]
    with _one_thread():
        # Members that stopped at different steps cannot share one optimizer step: those at equal steps go together.
        for _, same_step in groupby(sorted(pending, key=lambda m: (start[m].step, m)), key=lambda m: start[m].step):
            group = _Group(spec, dataset, {m: start[m] for m in same_step}, folder, device, save)
            for moved in group.run(should_stop, checkpoint_seconds):
                statuses |= {status.index: status for status in moved}
                if on_progress is not None:
                    on_progress(moved)
    return [statuses[m] for m in members]


class _Group:
    """Members at the same step, their parameters stacked along a leading axis of length M."""

    def __init__(
        self,
        spec: EnsembleSpec,
        dataset: ImageDataset,
        start: dict[int, Checkpoint],
        folder: Path,
        device: str,
        save: Save,
    ) -> None:
        self.spec, self.dataset, self.folder, self.device, self.save = spec, dataset, folder, device, save
        self.members = list(start)
        self.sound = dict(start)  # the last checkpoint of each member: what it falls back to
        self.history = {m: checkpoint.history for m, checkpoint in start.items()}
        self.step = next(iter(start.values())).step
        self.schedules = [
            Schedule(member_seed(spec.train.seed, m), dataset.n_images, spec.train.batch_size, spec.model.channels)
            for m in self.members
        ]
        height, width, image_channels = dataset.image_shape
        with torch.device("meta"):
            self.skeleton = VAE((image_channels, height, width), spec.model)
        self.stack = ParameterStack([c.weights for c in start.values()], spec.train.learning_rate, device)
        if self.step > 0:
            self.stack.resume([c.optimizer for c in start.values()], self.step)

    def run(self, should_stop: ShouldStop, checkpoint_seconds: float) -> Iterator[list[MemberStatus]]:
        """Train to the end or to the stop; after every slice, tell the state of every member."""
        saved = time.monotonic()
        while self.members_left() and self.step < self.spec.train.steps:
            self._slice()
            stop = should_stop()
            finished = self.step == self.spec.train.steps
            if stop or finished or time.monotonic() - saved > checkpoint_seconds:
                self._save()
                saved = time.monotonic()
            yield [self._status(m) for m in self.members]
            if stop:
                return

    def members_left(self) -> bool:
        """Say whether any member has not failed."""
        return any(c.state != "failed" for c in self.sound.values())

    def _slice(self) -> None:
        """Train one slice and add a row to each history."""
        # Slices end at multiples of their length, so that a stopped run logs the same rows as one that was not.
        stop = min(self.spec.train.steps, (self.step // SLICE_STEPS + 1) * SLICE_STEPS)
        positions = np.stack([s.images(self.step, stop) for s in self.schedules], axis=1)  # (S, M, B)
        noise = torch.stack([s.noise(self.step, stop) for s in self.schedules], dim=1).to(self.device)  # (S, M, B, D)
        pixels = torch.from_numpy(self.dataset.batch(positions.ravel())).to(self.device)
        images = pixels.reshape(*positions.shape, *pixels.shape[1:])  # (S, M, B, C, H, W)
        rows = []
        for s in range(stop - self.step):
            loss, reconstruction, penalty, kl = self._losses(images[s], noise[s], self.step + s)
            self.stack.step(loss)
            rows.append(torch.cat([torch.stack([loss, reconstruction, penalty], dim=1), kl], dim=1).detach())
        logged = torch.stack(rows, dim=1).cpu().double().numpy()  # (M, S, 3 + D)
        for m, terms in zip(self.members, logged, strict=True):
            self._log(m, stop, terms)
        self.step = stop

    def _losses(self, images: Tensor, noise: Tensor, step: int) -> tuple[Tensor, ...]:
        """Objective (M,), reconstruction (M,), penalty (M,) and KL (M, D) of one step of all members, nats."""
        losses = partial(self._member_losses, step=step)
        if self.spec.model.architecture == "mlp" or self.device != "cpu":
            terms: tuple[Tensor, ...] = vmap(losses)(self.stack.parameters, images, noise)
            return terms
        # Batched convolutions with a weight per member fall on a slow path on the CPU.
        each = [
            losses({name: p[m] for name, p in self.stack.parameters.items()}, in_channels_last(images[m]), noise[m])
            for m in range(len(images))
        ]
        return tuple(torch.stack(terms) for terms in zip(*each, strict=True))

    def _member_losses(
        self, parameters: dict[str, Tensor], images: Tensor, noise: Tensor, *, step: int
    ) -> tuple[Tensor, ...]:
        output, mean, logvar = functional_call(self.skeleton, parameters, (images, noise))
        reconstruction = reconstruction_nats(output, images, self.spec.model)
        kl = kl_nats(mean, logvar)
        n_images = self.dataset.n_images
        train = self.spec.train
        loss, penalty = objective(train, reconstruction, kl, mean, logvar, noise, n_images=n_images, step=step)
        return loss, reconstruction, penalty, kl

    def _log(self, member: int, stop: int, terms: NDArray[np.float64]) -> None:
        """Add a row to a member's history, or mark the member failed when a loss is not finite."""
        if self.sound[member].state == "failed":
            return
        bad = np.flatnonzero(~np.isfinite(terms[:, 0]))
        if len(bad):
            self._fail(member, f"the loss became {terms[bad[0], 0]} at step {self.step + int(bad[0]) + 1}")
            return
        loss, reconstruction, penalty, *kl = terms.mean(axis=0)
        self.history[member] = self.history[member].with_row(stop, loss, reconstruction, np.array(kl), penalty)

    def _fail(self, member: int, what: str) -> None:
        message = f"Member {member} stopped: {what}. Lower the learning rate, or check the images."
        self.sound[member] = replace(self.sound[member], state="failed", message=message)
        self.save(self.folder / str(member), self.sound[member])

    def _status(self, member: int) -> MemberStatus:
        sound = self.sound[member]
        if sound.state == "failed":
            return _status(member, sound)
        return _status(member, replace(sound, step=self.step, history=self.history[member]))

    def _save(self) -> None:
        """Write a checkpoint of every member that has not failed."""
        for member, weights, moments in zip(self.members, self.stack.weights(), self.stack.moments(), strict=True):
            if self.sound[member].state == "failed":
                continue
            if not all(np.isfinite(array).all() for array in weights.values()):
                self._fail(member, f"its weights are no longer finite after step {self.step}")
                continue
            state: MemberState = "done" if self.step == self.spec.train.steps else "running"
            self.sound[member] = Checkpoint(self.step, state, weights, moments, self.history[member])
            self.save(self.folder / str(member), self.sound[member])


def _first(spec: EnsembleSpec, image_shape: tuple[int, int, int], member: int) -> Checkpoint:
    vae = build_member(image_shape, spec.model, member_seed(spec.train.seed, member))
    weights = {name: p.detach().numpy() for name, p in vae.named_parameters()}
    return Checkpoint(0, "running", weights, {}, History.empty(spec.model.channels))


def _status(member: int, checkpoint: Checkpoint) -> MemberStatus:
    loss = float(checkpoint.history.loss[-1]) if len(checkpoint.history.loss) else float("nan")
    kl = tuple(checkpoint.history.kl_nats[-1].tolist()) if len(checkpoint.history.kl_nats) else ()
    return MemberStatus(member, checkpoint.state, checkpoint.step, loss, checkpoint.message, kl)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
