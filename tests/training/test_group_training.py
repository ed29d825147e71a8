"""Training for real, on real digits: seeds, stops, failures."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from support import loaded, same
from vaefrag_core.config import EnsembleSpec, ModelConfig, TrainConfig
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.digits import digits
from vaefrag_core.objectives import OBJECTIVES
from vaefrag_core.training.checkpoints import MemberStatus, save_checkpoint
from vaefrag_core.training.group_training import SLICE_STEPS, train_members
from vaefrag_core.training.parameter_stack import ParameterStack

STEPS = 3 * SLICE_STEPS


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small products are faster so where others use the machine as well."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    return digits()


def spec_of(**train: object) -> EnsembleSpec:
    return EnsembleSpec(
        model=ModelConfig(widths=(23,), channels=3),  # odd sizes, which fill no vector register
        train=TrainConfig(steps=STEPS, learning_rate=3e-3, **train),  # type: ignore[arg-type]
        members=6,
    )


def test_the_loss_falls_and_every_term_is_logged(dataset: ImageDataset, tmp_path: Path) -> None:
    (status,) = train_members(spec_of(beta=0.7), dataset, [0], tmp_path)
    history = loaded(tmp_path, 0).history
    assert status.state == "done"
    assert history.step.tolist() == [25, 50, 75]
    assert history.loss[-1] < history.loss[0] - 5
    assert history.kl_nats.shape == (3, 3)
    np.testing.assert_allclose(history.loss, history.reconstruction + 0.7 * history.kl_nats.sum(axis=1), rtol=1e-5)


def test_a_member_depends_on_its_seed_alone_and_not_on_who_is_beside_it(dataset: ImageDataset, tmp_path: Path) -> None:
    spec = spec_of()
    train_members(spec, dataset, [2], tmp_path / "alone")
    train_members(spec, dataset, [0, 1, 2, 5], tmp_path / "beside")
    assert same(loaded(tmp_path / "alone", 2), loaded(tmp_path / "beside", 2))
    assert not same(loaded(tmp_path / "beside", 1), loaded(tmp_path / "beside", 2))


def test_convolutions_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = ImageDataset("noise", rng.integers(0, 256, (40, 28, 28), dtype=np.uint8), (), "made here")
    spec = EnsembleSpec(
        model=ModelConfig(architecture="conv28", channels=3), train=TrainConfig(steps=5, batch_size=8), members=2
    )
    train_members(spec, images, [1], tmp_path / "alone")
    train_members(spec, images, [0, 1], tmp_path / "beside")
    assert same(loaded(tmp_path / "alone", 1), loaded(tmp_path / "beside", 1))


@pytest.mark.parametrize("slices", [1, 2])
def test_stopped_training_resumes_to_the_same_bits(dataset: ImageDataset, tmp_path: Path, slices: int) -> None:
    spec = spec_of()
    train_members(spec, dataset, [0, 1], tmp_path / "through")
    seen: list[int] = []

    def stop() -> bool:
        seen.append(1)
        return len(seen) == slices

    stopped = train_members(spec, dataset, [0, 1], tmp_path / "stopped", should_stop=stop)
    assert [(s.state, s.step) for s in stopped] == [("running", slices * SLICE_STEPS)] * 2
    resumed = train_members(spec, dataset, [0, 1], tmp_path / "stopped")
    assert [s.state for s in resumed] == ["done", "done"]
    for member in (0, 1):
        assert same(loaded(tmp_path / "stopped", member), loaded(tmp_path / "through", member))


def test_members_at_different_steps_resume_together(dataset: ImageDataset, tmp_path: Path) -> None:
    spec = spec_of()
    train_members(spec, dataset, [0, 1, 2], tmp_path / "through")
    train_members(spec, dataset, [1], tmp_path / "mixed", should_stop=lambda: True)
    train_members(spec, dataset, [0, 1, 2], tmp_path / "mixed")
    for member in (0, 1, 2):
        assert same(loaded(tmp_path / "mixed", member), loaded(tmp_path / "through", member))


def test_done_members_are_left_as_they_are(dataset: ImageDataset, tmp_path: Path) -> None:
    spec = spec_of()
    train_members(spec, dataset, [0], tmp_path)
    before = (tmp_path / "0" / "checkpoint.safetensors").stat().st_mtime_ns
    told: list[object] = []
    train_members(spec, dataset, [0], tmp_path, on_progress=told.append)
    assert told == []
    assert (tmp_path / "0" / "checkpoint.safetensors").stat().st_mtime_ns == before


def test_a_member_whose_loss_is_not_finite_stops_and_the_others_go_on(dataset: ImageDataset, tmp_path: Path) -> None:
    spec = spec_of()
    train_members(spec, dataset, [0, 1], tmp_path / "sound")
    train_members(spec, dataset, [0, 1], tmp_path / "ill", should_stop=lambda: True)
    ill = loaded(tmp_path / "ill", 1)
    poisoned = {name: np.full_like(w, 1e30) if name.startswith("decoder") else w for name, w in ill.weights.items()}
    save_checkpoint(tmp_path / "ill" / "1", replace(ill, weights=poisoned))
    statuses = train_members(spec, dataset, [0, 1], tmp_path / "ill")
    assert [s.state for s in statuses] == ["done", "failed"]
    assert "the loss became" in statuses[1].message
    assert "at step 26" in statuses[1].message
    assert statuses[1].step == SLICE_STEPS
    assert same(loaded(tmp_path / "ill", 0), loaded(tmp_path / "sound", 0))
    assert loaded(tmp_path / "ill", 1).state == "failed"


def test_progress_tells_every_slice_of_every_member(dataset: ImageDataset, tmp_path: Path) -> None:
    told: list[list[MemberStatus]] = []
    train_members(spec_of(), dataset, [0, 3], tmp_path, on_progress=lambda moved: told.append(list(moved)))
    assert [[(s.index, s.step) for s in moved] for moved in told] == [[(0, step), (3, step)] for step in (25, 50, 75)]
    assert all(np.isfinite(s.loss) for moved in told for s in moved)


def test_checkpoints_are_written_on_the_way(dataset: ImageDataset, tmp_path: Path) -> None:
    on_disk: list[int] = []
    train_members(
        spec_of(),
        dataset,
        [0],
        tmp_path,
        on_progress=lambda moved: on_disk.append(loaded(tmp_path, 0).step),
        checkpoint_seconds=0.0,
    )
    assert on_disk == [25, 50, 75]


def test_beta_is_not_ignored(dataset: ImageDataset, tmp_path: Path) -> None:
    train_members(spec_of(beta=0.0), dataset, [0], tmp_path / "free")
    train_members(spec_of(beta=20.0), dataset, [0], tmp_path / "bound")
    free, bound = (loaded(tmp_path / name, 0).history.kl_nats[-1].sum() for name in ("free", "bound"))
    assert bound < free / 10


@pytest.mark.parametrize(
    "train",
    [
        {"objective": "annealed-vae", "gamma": 5.0, "capacity_nats": 3.0, "capacity_steps": 50},
        {"objective": "beta-tcvae", "beta": 3.0},
        {"objective": "factor-vae", "gamma_tc": 6.0, "discriminator_widths": (13, 7)},
        {"objective": "dip-vae-i"},
        {"objective": "dip-vae-ii", "lambda_od": 2.0, "lambda_d": 3.0, "beta": 0.5},
    ],
)
def test_every_objective_trains_and_logs_its_own_term(
    dataset: ImageDataset, tmp_path: Path, train: dict[str, object]
) -> None:
    spec = spec_of(**train)
    statuses = train_members(spec, dataset, [0, 3], tmp_path / "beside")
    assert [status.state for status in statuses] == ["done", "done"]
    train_members(spec, dataset, [3], tmp_path / "alone", should_stop=lambda: True)
    train_members(spec, dataset, [3], tmp_path / "alone")
    assert same(loaded(tmp_path / "alone", 3), loaded(tmp_path / "beside", 3))  # through a stop on the way
    history = loaded(tmp_path / "beside", 3).history
    total = history.kl_nats.sum(axis=1)
    terms = {
        "annealed-vae": 5.0 * history.penalty,
        "beta-tcvae": total + (3.0 - 1) * history.penalty,
        "factor-vae": total + 6.0 * history.penalty,
        "dip-vae-i": total + history.penalty,
        "dip-vae-ii": 0.5 * total + history.penalty,
    }
    np.testing.assert_allclose(history.loss, history.reconstruction + terms[spec.train.objective], rtol=1e-5)
    assert history.reconstruction[-1] < history.reconstruction[0] - 2
    assert np.abs(history.penalty).min() > 0


FACTOR: dict[str, object] = {
    "objective": "factor-vae",
    "discriminator_widths": (13, 7),
    "discriminator_learning_rate": 0.01,
}


def test_a_discriminator_learns_by_its_own_optimizer_and_is_logged(dataset: ImageDataset, tmp_path: Path) -> None:
    train_members(spec_of(**FACTOR), dataset, [0], tmp_path)
    done = loaded(tmp_path, 0)
    assert done.history.discriminator[-1] < done.history.discriminator[0] < 0.75
    assert {name for name in done.discriminator if name.startswith("exp_avg.")} == {
        f"exp_avg.layers.{layer}.{kind}" for layer in (0, 2, 4) for kind in ("weight", "bias")
    }
    assert not any(name.startswith("layers") for name in done.weights)


def test_gamma_of_factor_vae_is_not_ignored(dataset: ImageDataset, tmp_path: Path) -> None:
    for gamma in (0.0, 40.0):
        train_members(spec_of(**FACTOR, gamma_tc=gamma), dataset, [0], tmp_path / str(gamma))
    train_members(spec_of(), dataset, [0], tmp_path / "beta-vae")
    free, bound, plain = (loaded(tmp_path / name, 0) for name in ("0.0", "40.0", "beta-vae"))
    assert all(np.array_equal(free.weights[name], plain.weights[name]) for name in plain.weights)
    assert bound.history.penalty[-1] < free.history.penalty[-1]


def test_a_single_channel_too(dataset: ImageDataset, tmp_path: Path) -> None:
    spec = EnsembleSpec(
        model=ModelConfig(widths=(32, 32), activation="tanh", channels=1, likelihood="mse"),
        train=TrainConfig(steps=SLICE_STEPS, beta=0.03),
        members=3,
    )
    train_members(spec, dataset, [1], tmp_path / "alone")
    train_members(spec, dataset, [0, 1, 2], tmp_path / "beside")
    assert same(loaded(tmp_path / "alone", 1), loaded(tmp_path / "beside", 1))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_of_every_objective_a_member_that_fails_takes_no_other_with_it(
    dataset: ImageDataset, tmp_path: Path, objective: str
) -> None:
    spec = spec_of(objective=objective, discriminator_widths=(13, 7))
    train_members(spec, dataset, [0, 1], tmp_path, should_stop=lambda: True)
    first, ill = loaded(tmp_path, 0), loaded(tmp_path, 1)
    train_members(spec, dataset, [0], tmp_path, should_stop=lambda: True)
    alone = loaded(tmp_path, 0)
    save_checkpoint(tmp_path / "0", first)
    poisoned = {
        name: np.full_like(w, np.nan) if name == "encoder.layers.0.bias" else w for name, w in ill.weights.items()
    }
    save_checkpoint(tmp_path / "1", replace(ill, weights=poisoned))
    statuses = train_members(spec, dataset, [0, 1], tmp_path, should_stop=lambda: True)
    assert [s.state for s in statuses] == ["running", "failed"]
    assert same(loaded(tmp_path, 0), alone)


def test_a_gradient_is_cut_to_its_norm_member_by_member() -> None:
    start = [{"w": np.zeros(3, np.float32)}, {"w": np.zeros(3, np.float32)}]
    pull = torch.tensor([[3.0, 0.0, 4.0], [0.3, 0.0, 0.4]])  # norms 5 and ½
    stack = ParameterStack(start, 0.1, "cpu", clip=1.0)
    stack.step((stack.parameters[0]["w"] * pull).sum(dim=1))
    long, short = (moments["exp_avg.w"] * 10 for moments in stack.moments())  # Adam's first mean: a tenth of it
    np.testing.assert_allclose(long, [0.6, 0.0, 0.8], rtol=1e-5)
    np.testing.assert_allclose(short, [0.3, 0.0, 0.4], rtol=1e-5)


def test_with_clipping_too_a_member_depends_on_itself_alone(dataset: ImageDataset, tmp_path: Path) -> None:
    spec = spec_of(clip_gradient=4.0)
    train_members(spec, dataset, [2], tmp_path / "alone")
    train_members(spec, dataset, [0, 2, 3], tmp_path / "beside")
    train_members(spec_of(), dataset, [2], tmp_path / "free")
    assert same(loaded(tmp_path / "alone", 2), loaded(tmp_path / "beside", 2))
    assert not same(loaded(tmp_path / "alone", 2), loaded(tmp_path / "free", 2))
