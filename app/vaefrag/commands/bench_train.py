"""How fast members are trained: `vaefrag bench train`, against one member after the other in plain PyTorch.

And what products in bfloat16 change: the loss, held against its spread over seeds, and the time.
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
from vaefrag_core.config import EnsembleSpec, Precision
from vaefrag_core.config_errors import parse
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.catalog import load_dataset
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
        architecture: of both ways.
        steps: of each member; batches of 64 in both ways.
        members: that we train at once.
        plain: members that are trained one after the other.
        precision: of our products; the plain loop's are float32.
    """

    dataset: str
    architecture: str
    steps: int
    members: int
    plain: int = 0
    precision: Precision = "float32"

    @property
    def spec(self) -> EnsembleSpec:
        """What is trained."""
        values = {"dataset": {"name": self.dataset}, "model": {"architecture": self.architecture}}
        train = {"steps": self.steps, "precision": self.precision}
        return parse(EnsembleSpec, values | {"train": train, "members": self.members})


QUICK = Case("digits", "mlp", steps=200, members=16, plain=2)
CASES = (
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

    Args:
        cases: rows of the table.
        precision: rows of the second table.
        repeats: turns; the ratio is the median of the turns' ratios, as others may use the machine.
        threads: of the plain loop; as many as torch uses when not given.

    Returns:
        JSON content: a row per case, of each table.
    """
    processes, before = count_cores(), torch.get_num_threads()
    torch.set_num_threads(threads or before)
    context = multiprocessing.get_context("spawn")
    rows, precisions = [], []
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for case in cases:
            terminal.print_message(f"{case.architecture} on {case.dataset}, {case.precision} …")
            rows.append(_row(case, repeats, processes, pool))
        for case in precision:
            terminal.print_message(f"{case.architecture} on {case.dataset} in bfloat16 …")
            precisions.append(_precision_row(case, processes, pool))
    result = {"processes": processes, "threads": threads or before, "repeats": repeats, "rows": rows}
    torch.set_num_threads(before)
    return result | {"bfloat16_instructions": cpu_multiplies_bfloat16(), "precision": precisions}


def show_train(result: dict[str, Any]) -> None:
    """Show the result as a table."""
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
    dataset = load_dataset(spec.dataset)
    short = _warm_up(spec, processes, pool)
    _train_plainly(short, dataset, 1)
    ours, plain, cpu, losses, plain_losses = [], [], [], [], []
    for _ in range(repeats):
        start, spent = time.perf_counter(), time.process_time()
        plain_losses = _train_plainly(spec, dataset, case.plain)
        plain.append(case.plain * case.steps / (time.perf_counter() - start))
        plain_cpu = (time.process_time() - spent) / (case.plain * case.steps)
        start = time.perf_counter()
        losses, seconds = _train_members(spec, processes, pool)
        ours.append(case.members * case.steps / (time.perf_counter() - start))
        cpu.append(plain_cpu * case.members * case.steps / seconds)
    return {
        "dataset": case.dataset,
        "architecture": case.architecture,
        "precision": case.precision,
        "members": case.members,
        "steps": case.steps,
        "steps_per_second": statistics.median(ours),
        "plain_steps_per_second": statistics.median(plain),
        "ratio": statistics.median(a / b for a, b in zip(ours, plain, strict=True)),
        "cpu_ratio": statistics.median(cpu),
        "loss": statistics.mean(losses),
        "loss_error": _error(losses),
        "plain_loss": statistics.mean(plain_losses),
        "plain_loss_error": _error(plain_losses),
    }


def _precision_row(case: Case, processes: int, pool: ProcessPoolExecutor) -> dict[str, Any]:
    spec = case.spec
    rough = replace(case, precision="bfloat16").spec
    losses, seconds = {}, {}
    for way in (spec, rough):
        _warm_up(way, processes, pool)
        losses[way.train.precision], seconds[way.train.precision] = _train_members(way, processes, pool)
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
    """Have every process import and read everything, by a few steps; gives what was trained."""
    short = spec.model_copy(update={"train": spec.train.model_copy(update={"steps": 5})})
    for _ in pool.map(_train_group, [short] * processes, [[0]] * processes):
        pass
    return short


def _train_members(spec: EnsembleSpec, processes: int, pool: ProcessPoolExecutor) -> tuple[list[float], float]:
    """Train all members of a spec; gives the last loss of each, and seconds of all CPUs."""
    size = group_size(spec, spec.members, processes)
    groups = [list(range(first, min(first + size, spec.members))) for first in range(0, spec.members, size)]
    trained = list(pool.map(_train_group, [spec] * len(groups), groups))
    return [loss for losses, _ in trained for loss in losses], sum(seconds for _, seconds in trained)


def _train_group(spec: EnsembleSpec, members: list[int]) -> tuple[list[float], float]:
    """Train as ever, checkpoint at the end included; gives the last losses, and seconds of the CPU."""
    dataset, spent = _dataset(spec), time.process_time()
    with tempfile.TemporaryDirectory(prefix="vaefrag-bench-") as folder:
        losses = [status.loss for status in train_members(spec, dataset, members, Path(folder))]
    return losses, time.process_time() - spent


_dataset = cache(lambda spec: load_dataset(spec.dataset))


def _train_plainly(spec: EnsembleSpec, dataset: ImageDataset, members: int) -> list[float]:
    """Train members as one would write it down, all images in memory."""
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
            loss.backward()
            adam.step()
            if step >= train.steps - SLICE_STEPS:
                last.append(loss.item())
        losses.append(statistics.mean(last))
    return losses


def _error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
