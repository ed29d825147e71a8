"""Measures the engine on this machine and prints the table of docs/engine.md: `python docs/engine_figures.py`.

Takes some minutes. Times are compared with a plain pool of processes in the same run, since other work on the machine
slows both.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from vaefrag.jobs.engine_process import engine_state
from vaefrag.jobs.job_store import JobStore
from vaefrag_core.config import EnsembleSpec, FingerprintConfig, ModelConfig, TrainConfig

SLOTS = 2
MEMBERS = 20
LONG = 1_000_000  # steps that nobody waits for


def spec_of(members: int, steps: int, seed: int) -> EnsembleSpec:
    """Give a small ensemble."""
    return EnsembleSpec(
        model=ModelConfig(widths=(64,)),
        train=TrainConfig(steps=steps, seed=seed),
        fingerprint=FingerprintConfig(size=100),
        members=members,
    )


def wait(condition: Callable[[], object]) -> float:
    """Wait until something is so; gives the seconds that it took."""
    began = time.perf_counter()
    while not condition():
        time.sleep(0.005)
    return time.perf_counter() - began


def train_plainly(spec: EnsembleSpec, members: list[int], folder: Path) -> None:
    """Train some members in this process, as a plain pool would."""
    from vaefrag_core.datasets.catalog import load_dataset
    from vaefrag_core.training.group_training import train_members

    train_members(spec, load_dataset(spec.dataset), members, folder)


@contextmanager
def running_engine(workspace: Path) -> Iterator[tuple[psutil.Process, float]]:
    """Run an engine; gives its process and the seconds until it was ready."""
    command = [sys.executable, "-m", "vaefrag.cli", "engine", "--workspace", str(workspace), "--slots", str(SLOTS)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    ready = wait(lambda: engine_state(workspace).address)
    yield psutil.Process(process.pid), ready
    process.terminate()
    process.wait()


def idle(engine: psutil.Process) -> Iterator[tuple[str, str]]:
    """Measure memory and load of an engine that has nothing to do."""
    everyone = [engine, *engine.children(recursive=True)]

    def spent() -> tuple[float, float]:
        return sum(sum(p.cpu_times()[:2]) for p in everyone), sum(engine.cpu_times()[:2])

    own, every = (sum(p.memory_full_info().pss for p in some) / 2**20 for some in ([engine], everyone))
    yield "memory, idle (PSS)", f"{every:.0f} MB in {len(everyone)} processes; the engine alone {own:.0f} MB"
    before = spent()
    time.sleep(10)
    loads = [100 * (after - earlier) / 10 for earlier, after in zip(before, spent(), strict=True)]
    yield "load, idle", f"{loads[0]:.0f} % of a core; the engine alone {loads[1]:.0f} %"


def against_a_pool(job_store: JobStore, steps: int, rounds: int) -> tuple[str, str]:
    """Train the same with the engine and with a plain pool, in turn; both have imported PyTorch before."""
    halves = [list(range(part, MEMBERS, SLOTS)) for part in range(SLOTS)]
    train(job_store, spec_of(SLOTS, 25, seed=1_000))
    pairs = []
    with multiprocessing.get_context("spawn").Pool(SLOTS) as pool, tempfile.TemporaryDirectory() as folder:
        for turn in range(-1, rounds):
            spec = spec_of(MEMBERS, 25 if turn < 0 else steps, seed=2_000 + turn)
            began = time.perf_counter()
            pool.starmap(train_plainly, [(spec, half, Path(folder) / str(turn)) for half in halves], chunksize=1)
            pairs.append((time.perf_counter() - began, train(job_store, spec)))
    plain, ours = min(pairs[1:], key=lambda pair: pair[0] + pair[1])
    what = f"{MEMBERS} members × {steps:,} steps on {SLOTS} slots"
    return what, f"{ours:.1f} s; a plain pool of {SLOTS} processes {plain:.1f} s: {100 * (ours / plain - 1):+.0f} %"


def train(job_store: JobStore, spec: EnsembleSpec) -> float:
    """Let the engine train an ensemble; gives the seconds."""
    job_id = job_store.submit_training(spec, analyze=False)
    return wait(lambda: job_store.job(job_id).state == "done")


def progress_and_cancel(job_store: JobStore) -> Iterator[tuple[str, str]]:
    """Measure how old progress is when a reader of the record sees it, and how soon a job ends that is cancelled."""
    job_id = job_store.submit_training(spec_of(4, LONG, seed=3_000), analyze=False)
    lags: list[float] = []
    last: dict[int, float] = {}
    revision = -1
    while len(lags) < 100:
        wait(lambda seen=revision: job_store.revision(job_id) != seen)
        revision, now = job_store.revision(job_id), time.time()
        for row in job_store.snapshot(job_id).members:
            if row.seen and last.get(row.index) not in (None, row.seen):
                lags.append(now - row.seen)
            last[row.index] = row.seen or 0.0
    lags.sort()
    words = f"median {lags[50]:.2f} s, 95 % within {lags[95]:.2f} s"
    yield "from a worker's report to a reader of the record", words
    job_store.set_desired_state(job_id, "cancel")
    yield "cancelling a running job", f"{wait(lambda: job_store.job(job_id).ended):.1f} s"


def three_hundred(job_store: JobStore, engine: psutil.Process) -> Iterator[tuple[str, str]]:
    """Measure what a job of 300 members costs."""
    job_id = job_store.submit_training(spec_of(300, LONG, seed=4_000), analyze=False)
    wait(lambda: job_store.job(job_id).counts.get("running"))
    yield "memory of the engine with 300 members", f"{engine.memory_full_info().pss / 2**20:.0f} MB (PSS)"
    times = []
    for read in (job_store.revision, job_store.snapshot):
        began = time.perf_counter()
        for _ in range(100):
            read(job_id)
        times.append(10 * (time.perf_counter() - began))
    what = "asking whether a job of 300 members has changed"
    yield what, f"{times[0]:.2f} ms; reading all of it {times[1]:.1f} ms"
    job_store.set_desired_state(job_id, "cancel")
    wait(lambda: job_store.job(job_id).ended)


def main() -> None:
    """Measure, and print one row after the other."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=3_000, help="of each member")
    arguments.add_argument("--rounds", type=int, default=3, help="of which the quickest counts")
    wanted = arguments.parse_args()

    def say(row: tuple[str, str]) -> None:
        print(f"| {row[0]} | {row[1]} |", flush=True)

    with tempfile.TemporaryDirectory() as folder, running_engine(Path(folder)) as (engine, ready):
        job_store = JobStore(folder)
        print("| | |\n|---|---|")
        say(("engine ready after it was started", f"{ready:.1f} s"))
        for row in idle(engine):
            say(row)
        say(against_a_pool(job_store, wanted.steps, wanted.rounds))
        for row in progress_and_cancel(job_store):
            say(row)
        for row in three_hundred(job_store, engine):
            say(row)
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"\n{cores} cores; a load of {load:.1f} at the end, of which ours is about {SLOTS}.")


if __name__ == "__main__":
    main()
