"""`vaefrag bench train`: the speed of training, against one member after the other in plain PyTorch.

And what products in bfloat16 change: the loss, compared with its spread over seeds, and the time.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vaefrag import terminal
from vaefrag.jobs.engine_process import count_cores
from vaefrag_core.config import DatasetConfig, EnsembleSpec, Precision
from vaefrag_core.config_errors import parse
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.errors import MissingDataError, VaefragError
from vaefrag_core.models.losses import beta_vae, kl_nats, reconstruction_nats
from vaefrag_core.models.vae import build_member
from vaefrag_core.training.group_size import group_size
from vaefrag_core.training.group_training import SLICE_STEPS, train_members
from vaefrag_core.training.precision import cpu_multiplies_bfloat16


@dataclass(frozen=True)
class Case:
    """A network and its data.

    Args:
        dataset: a name.
        architecture: the network, in vaefrag's training and in the plain loop.
        steps: gradient steps of each member, of 64 images each.
        members: how many are trained side by side.
        plain: how many members the plain loop trains, one after the other.
        precision: of vaefrag's products; the plain loop's are float32.
    """

    dataset: str
    architecture: str
    steps: int
    members: int
    plain: int = 0
    precision: Precision = "float32"

    @property
    def spec(self) -> EnsembleSpec:
        """The ensemble to train."""
        values = {"dataset": {"name": self.dataset}, "model": {"architecture": self.architecture}}
        train = {"steps": self.steps, "precision": self.precision}
        return parse(EnsembleSpec, values | {"train": train, "members": self.members})


QUICK = Case("digits", "mlp", steps=200, members=16, plain=2)
CASES: tuple[Case, ...] = (
    Case("digits", "mlp", steps=1500, members=32, plain=3),
    Case("fashion-mnist", "conv28", steps=250, members=4, plain=2),
)
if cpu_multiplies_bfloat16():
    CASES += (replace(CASES[1], precision="bfloat16"),)
# Fewer steps: without instructions for bfloat16 its products take ten times as long.
QUICK_PRECISION = Case("digits", "mlp", steps=50, members=6)
PRECISION = (
    Case("digits", "mlp", steps=500, members=8),
    Case("fashion-mnist", "conv28", steps=50, members=4),
)


def bench_train(
    cases: Sequence[Case], precision: Sequence[Case], *, repeats: int, threads: int | None
) -> dict[str, Any]:
    """Time both ways in turns, each turn from the first step; then compare bfloat16 with float32, in one turn.

    Cases whose data set is not on this machine and cannot be fetched are left out, which is said before anything is
    timed. When a case fails or is interrupted, those before it are shown.

    Args:
        cases: rows of the table.
        precision: rows of the second table.
        repeats: turns; the ratio is the median of the turns' ratios, as others may use the machine.
        threads: of the plain loop; None for as many as torch uses.

    Returns:
        JSON content: a row per case, of each table, and the data sets that were left out.

    Raises:
        MissingDataError: when no data set is there.
    """
    left_out = _missing_datasets([*cases, *precision])
    processes, threads_before = count_cores(), torch.get_num_threads()
    rows: list[dict[str, Any]] = []
    precision_rows: list[dict[str, Any]] = []
    result = {
        "processes": processes,
        "threads": threads or threads_before,
        "repeats": repeats,
        "rows": rows,
        "bfloat16_instructions": cpu_multiplies_bfloat16(),
        "precision": precision_rows,
        "left_out": [{"dataset": name, "reason": reason} for name, reason in left_out.items()],
    }
    torch.set_num_threads(threads or threads_before)
    try:
        # Forked processes would inherit torch's threads in a state that hangs.
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            for case in (case for case in cases if case.dataset not in left_out):
                terminal.print_message(f"{case.architecture} on {case.dataset}, {case.precision} …")
                rows.append(_row(case, repeats, processes, pool))
            for case in (case for case in precision if case.dataset not in left_out):
                terminal.print_message(f"{case.architecture} on {case.dataset} in bfloat16 …")
                precision_rows.append(_precision_row(case, processes, pool))
    except BaseException:
        if rows:
            show_train(result)
        raise
    finally:
        torch.set_num_threads(threads_before)
    return result


def _missing_datasets(cases: Sequence[Case]) -> dict[str, str]:
    """Load the data sets of all cases, and say which are missing.

    Returns:
        The reason, by the name of each data set that is missing.

    Raises:
        MissingDataError: when all are.
    """
    missing: dict[str, str] = {}
    datasets = {case.dataset: case.spec.dataset for case in cases}
    for name, config in datasets.items():
        try:
            _dataset(config)
        except VaefragError as error:
            missing[name] = str(error)
    if len(missing) == len(datasets):
        raise MissingDataError(" ".join(f"{name}: {reason}" for name, reason in missing.items()))
    for name, reason in missing.items():
        terminal.print_message(f"{name} is left out: {reason}", markup=False)
    return missing


def show_train(result: dict[str, Any]) -> None:
    """Show the result as tables."""
    columns = ["network", "products", "steps/s", "plain", "ratio", "CPU", "loss", "plain loss"]
    rows = [
        [
            row["architecture"],
            row["precision"],
            f"{row['steps_per_second']:,.0f}",
            f"{row['plain_steps_per_second']:,.0f}",
            f"{row['ratio']:.1f} ×",
            f"{row['cpu_ratio']:.1f} ×",
            f"{row['loss']:.1f} ± {row['loss_error']:.1f}",
            f"{row['plain_loss']:.1f} ± {row['plain_loss_error']:.1f}",
        ]
        for row in result["rows"]
    ]
    terminal.show_table(columns, rows, right=columns[2:])
    data = dict.fromkeys(f"{row['architecture']} on {row['dataset']}" for row in result["rows"])
    terminal.print_message(
        f"{', '.join(data)}. Steps of all members together.\n"
        f"{result['processes']} processes of a thread; plain: one member after the other on {result['threads']}"
        " threads, in float32,\nby the same networks, loss, batch of 64 and steps."
        f" Medians of {result['repeats']} turns. CPU: by seconds of all\ncores together for a member-step."
        f" Loss: of the last {SLICE_STEPS} steps, nats per image, ± standard error over members."
    )
    if result["precision"]:
        _show_precision(result)


def _show_precision(result: dict[str, Any]) -> None:
    columns = ["network", "data", "trained", "float32", "bfloat16", "difference", "noise", "speed"]
    rows = [
        [
            row["architecture"],
            row["dataset"],
            f"{row['members']} × {row['steps']:,}",
            f"{row['loss']:.2f}",
            f"{row['bfloat16_loss']:.2f}",
            f"{row['difference']:+.2f} ± {row['difference_error']:.2f}",
            f"{row['noise']:.2f}",
            f"{row['cpu_ratio']:.1f} ×",
        ]
        for row in result["precision"]
    ]
    terminal.show_table(columns, rows, right=columns[2:])
    has = "has" if result["bfloat16_instructions"] else "has no"
    terminal.print_message(
        "Loss as above with products in float32 and in bfloat16, of the same seeds. Trained: members × steps.\n"
        "Difference: mean over members ± standard error. Noise: standard deviation of the float32 loss over seeds.\n"
        f"Speed: by seconds of the CPU, which {has} instructions for bfloat16."
    )


def _row(case: Case, repeats: int, processes: int, pool: ProcessPoolExecutor) -> dict[str, Any]:
    spec = case.spec
    dataset = _dataset(spec.dataset)
    short = _warm_up(spec, processes, pool)
    _train_plainly(short, dataset, 1)
    rates: list[float] = []  # member-steps per second
    plain_rates: list[float] = []
    cpu_ratios: list[float] = []
    losses: list[float] = []
    plain_losses: list[float] = []
    for _ in range(repeats):
        start, spent = time.perf_counter(), time.process_time()
        plain_losses = _train_plainly(spec, dataset, case.plain)
        plain_rates.append(case.plain * case.steps / (time.perf_counter() - start))
        plain_cpu = (time.process_time() - spent) / (case.plain * case.steps)
        start = time.perf_counter()
        losses, seconds = _train_members(spec, processes, pool)
        rates.append(case.members * case.steps / (time.perf_counter() - start))
        cpu_ratios.append(plain_cpu * case.members * case.steps / seconds)
    return {
        "dataset": case.dataset,
        "architecture": case.architecture,
        "precision": case.precision,
        "members": case.members,
        "steps": case.steps,
        "steps_per_second": statistics.median(rates),
        "plain_steps_per_second": statistics.median(plain_rates),
        "ratio": statistics.median(a / b for a, b in zip(rates, plain_rates, strict=True)),
        "cpu_ratio": statistics.median(cpu_ratios),
        "loss": statistics.mean(losses),
        "loss_error": _error(losses),
        "plain_loss": statistics.mean(plain_losses),
        "plain_loss_error": _error(plain_losses),
    }


def _precision_row(case: Case, processes: int, pool: ProcessPoolExecutor) -> dict[str, Any]:
    spec = case.spec
    losses: dict[Precision, list[float]] = {}
    seconds: dict[Precision, float] = {}
    for variant in (spec, replace(case, precision="bfloat16").spec):
        precision = variant.train.precision
        _warm_up(variant, processes, pool)
        losses[precision], seconds[precision] = _train_members(variant, processes, pool)
    differences = [b - a for a, b in zip(losses["float32"], losses["bfloat16"], strict=True)]
    return {
        "dataset": case.dataset,
        "architecture": case.architecture,
        "members": case.members,
        "steps": case.steps,
        "loss": statistics.mean(losses["float32"]),
        "bfloat16_loss": statistics.mean(losses["bfloat16"]),
        "difference": statistics.mean(differences),
        "difference_error": _error(differences),
        "noise": statistics.stdev(losses["float32"]),
        "cpu_ratio": seconds["float32"] / seconds["bfloat16"],
    }


def _warm_up(spec: EnsembleSpec, processes: int, pool: ProcessPoolExecutor) -> EnsembleSpec:
    """Have every process import and read everything, by a few steps.

    Returns:
        The ensemble of those few steps.
    """
    short = spec.model_copy(update={"train": spec.train.model_copy(update={"steps": 5})})
    for _ in pool.map(_train_group, [short] * processes, [[0]] * processes):
        pass
    return short


def _train_members(spec: EnsembleSpec, processes: int, pool: ProcessPoolExecutor) -> tuple[list[float], float]:
    """Train all members of an ensemble.

    Returns:
        The last loss of each, nats, and the seconds that all CPUs spent.
    """
    size = group_size(spec, spec.members, processes)
    groups = [list(range(first, min(first + size, spec.members))) for first in range(0, spec.members, size)]
    trained = list(pool.map(_train_group, [spec] * len(groups), groups))
    return [loss for losses, _ in trained for loss in losses], sum(seconds for _, seconds in trained)


def _train_group(spec: EnsembleSpec, members: list[int]) -> tuple[list[float], float]:
    """Train a group as the engine does, checkpoint at the end included.

    Returns:
        The last loss of each member, nats, and the seconds that the CPU spent.
    """
    dataset, spent = _dataset(spec.dataset), time.process_time()
    with tempfile.TemporaryDirectory(prefix="vaefrag-bench-") as folder:
        losses = [status.loss for status in train_members(spec, dataset, members, Path(folder))]
    return losses, time.process_time() - spent


@cache
def _dataset(config: DatasetConfig) -> ImageDataset:
    return load_dataset(config)


def _train_plainly(spec: EnsembleSpec, dataset: ImageDataset, members: int) -> list[float]:
    """Train members by the shortest loop, all images in memory.

    Returns:
        The mean loss of each member's last steps, nats.
    """
    height, width, image_channels = dataset.image_shape
    images = torch.from_numpy(dataset.batch(np.arange(dataset.n_images)))
    train = spec.train
    losses = []
    for member in range(members):
        generator = torch.Generator().manual_seed(member)
        vae = build_member((image_channels, height, width), spec.model, seed=1_000 + member)
        adam = torch.optim.Adam(vae.parameters(), lr=train.learning_rate)
        last: list[float] = []
        order = torch.empty(0, dtype=torch.int64)
        for step in range(train.steps):
            if len(order) < train.batch_size:
                order = torch.randperm(len(images), generator=generator)
            batch, order = images[order[: train.batch_size]], order[train.batch_size :]
            noise = torch.randn(len(batch), spec.model.channels, generator=generator)
            output, mean, logvar = vae(batch, noise)
            loss = beta_vae(reconstruction_nats(output, batch, spec.model), kl_nats(mean, logvar), train.beta)
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            if step >= train.steps - SLICE_STEPS:
                last.append(loss.item())
        losses.append(statistics.mean(last))
    return losses


def _error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
