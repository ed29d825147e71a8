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
from torch import Tensor
from torch.func import functional_call, vmap

from vaefrag_core.array_types import AnyArray, FloatArray
from vaefrag_core.config import EnsembleSpec
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.models.custom_networks import check_custom_networks
from vaefrag_core.models.discriminator import BETAS, Discriminator, build_discriminator
from vaefrag_core.models.losses import (
    LossInputs,
    discriminator_nats,
    kl_nats,
    loss_and_penalty,
    reconstruction_nats,
    shuffled,
)
from vaefrag_core.models.networks import in_channels_last
from vaefrag_core.models.vae import ENCODER, VAE, build_member, member_seed
from vaefrag_core.training.batch_schedule import NOISE_BLOCK_STEPS, Schedule, snapshot_steps
from vaefrag_core.training.checkpoints import (
    Checkpoint,
    History,
    MemberState,
    MemberStatus,
    load_checkpoint,
    save_checkpoint,
)
from vaefrag_core.training.parameter_stack import ParameterStack
from vaefrag_core.training.precision import products_in

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
        InvalidInputError: when the architecture does not take the images, or a network of one's own is not what it
            must be.
    """
    height, width, image_channels = dataset.image_shape
    if spec.model.network is not None:
        few = torch.from_numpy(dataset.batch(np.arange(min(2, dataset.n_images))))
        with products_in(spec.train.precision, "cpu"):
            check_custom_networks(
                build_member((image_channels, height, width), spec.model, spec.train.seed), few, spec.model
            )
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
        self.snapshots = {m: checkpoint.snapshots for m, checkpoint in start.items()}
        self.snapshot_steps = set(snapshot_steps(spec.train)) - {spec.train.steps}  # the end is kept as it is
        self.step = next(iter(start.values())).step
        self.schedules = [
            Schedule(member_seed(spec.train.seed, m), dataset.n_images, spec.train.batch_size, spec.model.channels)
            for m in self.members
        ]
        height, width, image_channels = dataset.image_shape
        with torch.device("meta"):
            self.skeleton = VAE((image_channels, height, width), spec.model)
        train, checkpoints = spec.train, list(start.values())
        # Batched convolutions with a weight per member fall on a slow path on the CPU.
        self.together = spec.model.stackable or (device != "cpu" and spec.model.network is None)
        self.stack = ParameterStack(
            [c.weights for c in checkpoints],
            train.learning_rate,
            device,
            clip=train.clip_gradient,
            together=self.together,
            # Stacked layers add their biases apart from the product, in float32, and one's own may do anything.
            rounded=train.precision == "bfloat16" and not self.together and spec.model.network is None,
        )
        if self.step > 0:
            self.stack.resume([c.optimizer for c in checkpoints], self.step)
        self.critics = None
        if train.declaration.discriminator:
            self.critics = _Critics(spec, self.schedules, checkpoints, device, together=self.together)

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
        orders = self.critics.orders(self.step, stop) if self.critics else [None] * (stop - self.step)
        rows = []
        for s in range(stop - self.step):
            *terms, kl = self._losses(images[s], noise[s], orders[s], self.step + s)
            self.stack.step(terms[0])
            if self.critics:
                self.critics.stack.step(terms[3])
            if self.step + s + 1 in self.snapshot_steps:
                self._keep(self.step + s + 1)
            rows.append(torch.cat([torch.stack(terms, dim=1), kl], dim=1).detach())
        logged = torch.stack(rows, dim=1).cpu().double().numpy()  # (M, S, 4 + D)
        for m, terms in zip(self.members, logged, strict=True):
            self._log(m, stop, terms)
        self.step = stop

    def _keep(self, step: int) -> None:
        """Remember every encoder as it is now: it goes to disk with the next checkpoint, whole or not at all."""
        for m, weights in zip(self.members, self.stack.weights(), strict=True):
            encoder = {name: array for name, array in weights.items() if name.startswith(ENCODER)}
            self.snapshots[m] = {**self.snapshots[m], step: encoder}

    def _losses(self, images: Tensor, noise: Tensor, orders: Tensor | None, step: int) -> tuple[Tensor, ...]:
        """Objective, reconstruction, penalty, discriminator's loss, each (M,), and KL (M, D) of one step, nats."""
        losses = partial(self._member_losses, step=step)
        parameters = self.stack.parameters
        critics = self.critics.stack.parameters if self.critics else [{}] * len(parameters)
        if self.together:
            places = (0, 0, 0, 0 if self.critics else None, 0 if self.critics else None)
            terms: tuple[Tensor, ...] = vmap(losses, in_dims=places)(parameters[0], images, noise, critics[0], orders)
            return terms
        each = [
            losses(
                parameters[m], in_channels_last(images[m]), noise[m], critics[m], None if orders is None else orders[m]
            )
            for m in range(len(images))
        ]
        return tuple(torch.stack(terms) for terms in zip(*each, strict=True))

    def _member_losses(
        self,
        parameters: dict[str, Tensor],
        images: Tensor,
        noise: Tensor,
        critic: dict[str, Tensor],
        order: Tensor | None,
        *,
        step: int,
    ) -> tuple[Tensor, ...]:
        train = self.spec.train
        with products_in(train.precision, self.device):
            output, mean, logvar = functional_call(self.skeleton, parameters, (images, noise))
        reconstruction = reconstruction_nats(output, images, self.spec.model)
        kl = kl_nats(mean, logvar)
        n_images = self.dataset.n_images
        if order is None:
            loss, penalty = loss_and_penalty(train, LossInputs(reconstruction, kl, mean, logvar, noise, n_images, step))
            return loss, reconstruction, penalty, torch.zeros_like(loss), kl
        assert self.critics is not None
        frozen = {name: p.detach() for name, p in critic.items()}  # the VAE's loss moves the VAE, the other the other
        judge = partial(functional_call, self.critics.skeleton)
        inputs = LossInputs(
            reconstruction, kl, mean, logvar, noise, n_images, step, lambda latents: judge(frozen, (latents,))
        )
        loss, penalty = loss_and_penalty(train, inputs)
        latents = (mean + torch.exp(logvar / 2) * noise).detach()
        critic_loss = discriminator_nats(judge(critic, (latents,)), judge(critic, (shuffled(latents, order),)))
        return loss, reconstruction, penalty, critic_loss, kl

    def _log(self, member: int, stop: int, terms: FloatArray) -> None:
        """Add a row to a member's history, or mark the member failed when a loss is not finite."""
        if self.sound[member].state == "failed":
            return
        bad = np.flatnonzero(~np.isfinite(terms[:, 0]))
        if len(bad):
            self._fail(member, f"the loss became {terms[bad[0], 0]} at step {self.step + int(bad[0]) + 1}")
            return
        loss, reconstruction, penalty, critic, *kl = terms.mean(axis=0)
        self.history[member] = self.history[member].with_row(stop, loss, reconstruction, np.array(kl), penalty, critic)

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
        critics = self.critics.states() if self.critics else [{}] * len(self.members)
        states = (self.members, self.stack.weights(), self.stack.moments(), critics)
        for member, weights, moments, critic in zip(*states, strict=True):
            if self.sound[member].state == "failed":
                continue
            if not all(np.isfinite(array).all() for array in (*weights.values(), *critic.values())):
                self._fail(member, f"its weights are no longer finite after step {self.step}")
                continue
            state: MemberState = "done" if self.step == self.spec.train.steps else "running"
            self.sound[member] = Checkpoint(
                self.step, state, weights, moments, self.history[member], "", critic, self.snapshots[member]
            )
            self.save(self.folder / str(member), self.sound[member])


class _Critics:
    """The discriminators of factor-vae, one for each member of a group, stacked as the members are."""

    def __init__(
        self,
        spec: EnsembleSpec,
        schedules: Sequence[Schedule],
        start: Sequence[Checkpoint],
        device: str,
        *,
        together: bool,
    ) -> None:
        channels, train = spec.model.channels, spec.train
        self.schedules, self.device = schedules, device
        with torch.device("meta"):
            self.skeleton = Discriminator(channels, train.discriminator_widths)
        states = [dict(checkpoint.discriminator) for checkpoint in start]
        for state, schedule in zip(states, schedules, strict=True):
            if not state:
                first = build_discriminator(channels, train.discriminator_widths, schedule.discriminator_seed)
                state |= {f"weights.{name}": p.detach().numpy() for name, p in first.named_parameters()}
        weights = [
            {n.removeprefix("weights."): w for n, w in state.items() if n.startswith("weights.")} for state in states
        ]
        self.stack = ParameterStack(weights, train.discriminator_learning_rate, device, betas=BETAS, together=together)
        if start[0].step > 0:
            self.stack.resume(states, start[0].step)

    def orders(self, start: int, stop: int) -> Tensor:
        """Give how channels are shuffled, (S, M, B, D)."""
        return torch.stack([s.shuffles(start, stop) for s in self.schedules], dim=1).to(self.device)

    def states(self) -> list[dict[str, AnyArray]]:
        """Copy out what a checkpoint keeps of each."""
        return [
            {f"weights.{name}": array for name, array in weights.items()} | moments
            for weights, moments in zip(self.stack.weights(), self.stack.moments(), strict=True)
        ]


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
