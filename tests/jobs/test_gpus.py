"""GPUs of the engine's own machine. None is at hand: "cpu:0" stands for one, and all else is as it would be."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from support_jobs import Lab, spec_of
from vaefrag.jobs import gpu_detection
from vaefrag.jobs.dask_cluster import BESIDE_GPU, GPU_OFFER, nanny_options
from vaefrag.jobs.engine_process import check_device
from vaefrag.jobs.gpu_detection import FoundGpus, find_gpus, usable_gpus
from vaefrag.jobs.job_kinds import JobKind
from vaefrag.jobs.job_models import Submission
from vaefrag.jobs.slot_requests import GPU, runs_on_gpu
from vaefrag.settings import DeviceChoice, load_settings
from vaefrag_core.config import Estimator, default_analysis
from vaefrag_core.ensemble_store import ensemble_id_of
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.structure.matrices import compare_channels

STAND_IN = "cpu:0"


Machine = Callable[[Mapping[str, int]], None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with as many GPUs of each kind as one says."""

    def have(gpus: Mapping[str, int]) -> None:
        monkeypatch.setattr(gpu_detection, "may_have_gpu", lambda: True)
        monkeypatch.setattr(gpu_detection, "usable_gpus", lambda: gpus)

    return have


@pytest.mark.parametrize(
    ("choice", "there", "found"),
    [
        ("auto", {"cuda": 2, "mps": 0}, FoundGpus("cuda", "cuda", 2)),
        ("auto", {"cuda": 0, "mps": 1}, FoundGpus("mps", "mps", 1)),
        ("auto", {"cuda": 0, "mps": 0}, FoundGpus("cpu", "cpu", 0)),
        ("auto", {}, FoundGpus("cpu", "cpu", 0)),
        ("cpu", {"cuda": 2, "mps": 0}, FoundGpus("cpu", "cpu", 0)),
        ("cuda", {"cuda": 1, "mps": 0}, FoundGpus("cuda", "cuda", 1)),
        ("mps", {"cuda": 1, "mps": 1}, FoundGpus("mps", "mps", 1)),
    ],
)
def test_gpus_are_found(machine: Machine, choice: DeviceChoice, there: Mapping[str, int], found: FoundGpus) -> None:
    machine(there)
    assert find_gpus(choice) == found


@pytest.mark.parametrize(("choice", "there"), [("cuda", {"cuda": 0, "mps": 1}), ("mps", {"cuda": 1, "mps": 0})])
def test_a_gpu_that_is_named_has_to_be_there(machine: Machine, choice: DeviceChoice, there: Mapping[str, int]) -> None:
    machine(there)
    with pytest.raises(InvalidInputError, match=rf"Expected a GPU for --device {choice}, got none"):
        find_gpus(choice)


def test_pytorch_says_what_there_is() -> None:
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    assert usable_gpus() == {"cuda": there, "mps": int(torch.backends.mps.is_available())}


def test_to_look_for_gpus_loads_no_pytorch() -> None:
    program = (
        "import sys; from vaefrag.jobs.gpu_detection import find_gpus; find_gpus('auto'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("kind", "estimator", "needs", "offers", "there"),
    [
        ("train", "bound", GPU, {GPU_OFFER: 1}, True),
        ("train", "exact", ("cpu",), {"cpu": 1, BESIDE_GPU: 1}, False),
        ("analyze", "exact", ("cpu", "workspace"), {"cpu": 1, "workspace": 1, BESIDE_GPU: 1}, True),
        ("analyze", "exact", ("cpu", "workspace"), {"cpu": 1, "workspace": 1}, False),
        ("analyze", "bound", ("cpu", "workspace"), {"cpu": 1, "workspace": 1, BESIDE_GPU: 1}, False),
        ("fuse", "exact", ("cpu", "workspace"), {"cpu": 1, "workspace": 1, BESIDE_GPU: 1}, False),
    ],
)
def test_trainings_and_exact_comparisons_run_on_gpus(
    kind: JobKind, estimator: Estimator, needs: Sequence[str], offers: Mapping[str, float], there: bool
) -> None:
    request = default_analysis(estimator).model_dump(mode="json") if kind == "analyze" else {}
    submission = Submission("a", kind, "b", "c", request, 0, "d", 0.0)
    assert runs_on_gpu(submission, needs, offers) is there


def test_a_gpu_has_one_process_that_sees_no_other() -> None:
    training, beside = nanny_options(gpu=1), nanny_options(beside_gpu=True)
    assert training["resources"] == {"gpu": 1}
    assert training["env"]["CUDA_VISIBLE_DEVICES"] == "1"
    assert beside["resources"] == {"cpu": 1, BESIDE_GPU: 1}
    assert "CUDA_VISIBLE_DEVICES" not in beside["env"]


def test_an_engine_with_a_gpu_stacks_members_there_and_compares_beside_it(lab: Lab, tmp_path: Path) -> None:
    lab.engine("--device", "cuda", gpu_device=STAND_IN, gpu_members=2)
    with pytest.raises(InvalidInputError, match=r"Expected an engine on cpu, got one that runs already, on cuda\."):
        check_device(load_settings(workspace=lab.workspace, device="cpu"))
    check_device(load_settings(workspace=lab.workspace, device="cuda"))
    spec = spec_of(members=3, steps=100)
    training = lab.job_store.submit_training(spec, estimator="exact")
    busy: set[tuple[bool, int]] = set()

    def ended() -> bool:
        rows = [row for row in lab.job_store.workers() if row.job == training]
        busy.update(("gpu" in row.offers, len(row.members)) for row in rows)
        return lab.state(training) == "done"

    lab.wait(ended, 120)
    assert busy <= {(True, 2), (True, 1)}
    snapshot = lab.snapshot(training)
    assert {member.device for member in snapshot.members} == {STAND_IN} == {snapshot.job.progress.device}
    assert len({member.task for member in snapshot.members}) == 2  # two members together, then the third
    assert lab.weights_are_those_of_a_plain_run(spec, tmp_path / "plain")

    def analysed() -> bool:
        job = lab.job_store.newest_job(ensemble_id_of(spec), "analyze")
        return job is not None and not job.submission.partial and job.state == "done"

    lab.wait(analysed, 120)
    analysis = lab.job_store.newest_job(ensemble_id_of(spec), "analyze")
    assert analysis is not None
    assert analysis.progress.device == STAND_IN
    found = lab.store.analysis(ensemble_id_of(spec)).matrix
    expected = compare_channels(lab.store.posteriors(ensemble_id_of(spec)), estimator="exact")
    np.testing.assert_allclose(found.information_bits, expected.information_bits, atol=1e-5)
