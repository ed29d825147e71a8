"""A fused space is what its learners agree on, and says so when its objective has failed."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from vaefrag_core.artifacts import FusedSpace, Posteriors
from vaefrag_core.config import FusionConfig
from vaefrag_core.errors import BrokenFileError, InvalidInputError
from vaefrag_core.measures.bhattacharyya_coefficient import pair_coefficients
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.reference_spaces import ReferenceSpaces
from vaefrag_core.measures.similarity import mutual_information_bits, nmi, variation_of_information
from vaefrag_core.synthesis.fusion import FusionStep, fuse, objective_value
from vaefrag_core.synthesis.learner_spaces import select_learners

N = 40
KEY_BEFORE_PRICES = "e3093026dc2d"  # of a fusion by default, as ids on disk have it


def circle(learners: int, images: int = N, sample_id: str | None = "circle") -> Posteriors:
    """Learners of one channel, each of which cuts the circle somewhere else and lays it out as a line."""
    angle = np.arange(images) / images * 2 * math.pi
    cuts = np.random.default_rng(2).permutation(learners) / learners * 2 * math.pi
    mean = ((angle - cuts[:, None]) % (2 * math.pi))[:, :, None]
    return Posteriors(mean, np.full_like(mean, math.log(0.04)), sample_id=sample_id)


def distance(mean: NDArray[np.float64], logvar: NDArray[np.float64]) -> torch.Tensor:
    return bhattacharyya_distance(torch.from_numpy(mean), torch.from_numpy(logvar))


@pytest.fixture(scope="module")
def fused() -> FusedSpace:
    return fuse(circle(8), steps=150, restarts=1)


def test_what_every_learner_cuts_is_whole_again(fused: FusedSpace) -> None:
    steps = np.linalg.norm(fused.mean - np.roll(fused.mean, -1, axis=0), axis=1)
    assert steps.max() < 2 * np.quantile(steps, 0.9)
    line = np.abs(circle(8).mean[0, :, 0] - np.roll(circle(8).mean[0, :, 0], -1))
    assert line.max() > 30 * np.quantile(line, 0.9)  # of one learner, where it is cut
    assert fused.success
    assert fused.learner_vi_bits.max() < 0.6


def test_identical_learners_give_their_space_back() -> None:
    rng = np.random.default_rng(0)
    mean, logvar = rng.normal(0, 2, (N, 2)), rng.normal(-1, 0.3, (N, 2))
    space = fuse([(mean, logvar)] * 3, restarts=1)
    assert space.learner_vi_bits == pytest.approx(0, abs=0.01)
    assert space.objective == pytest.approx(1, abs=0.01)
    assert space.information_bits == pytest.approx(space.learner_bits[0], abs=0.01)


@pytest.mark.parametrize("objective", ["vi", "nmi", "mutual-information", "information-bottleneck"])
def test_the_objective_is_what_the_measures_say_of_the_result(objective: str) -> None:
    learners = circle(4)
    space = fuse(learners, objective=objective, steps=20, restarts=2)  # type: ignore[arg-type]
    here = distance(space.mean, space.logvar)
    there = [distance(m, v) for m, v in zip(learners.mean, learners.logvar, strict=True)]
    vi = np.array([float(variation_of_information(here, other)) for other in there])
    expected = {
        "vi": np.exp(-vi).mean(),
        "nmi": np.mean([float(nmi(here, other)) for other in there]),
        "mutual-information": np.mean([float(mutual_information_bits(here, other)) for other in there]),
        "information-bottleneck": sum(float(mutual_information_bits(here, other)) for other in there)
        - 1.5 * space.information_bits,
    }
    assert space.objective == pytest.approx(expected[objective], abs=1e-10)
    assert space.objective == space.objectives.max()
    np.testing.assert_allclose(space.learner_vi_bits, vi, atol=1e-12)


def test_the_order_of_learners_does_not_matter(fused: FusedSpace) -> None:
    learners = circle(8)
    turned = fuse(Posteriors(learners.mean[::-1], learners.logvar[::-1]), steps=150, restarts=1)
    assert turned.objective == pytest.approx(fused.objective, abs=1e-3)
    np.testing.assert_allclose(turned.learner_vi_bits[::-1], fused.learner_vi_bits, atol=0.02)


def test_nmi_shrinks_the_space_to_nothing_and_is_not_called_a_success() -> None:
    space = fuse(circle(8), objective="nmi", steps=400, restarts=1)
    assert space.objective > 1.1
    assert space.information_bits < 0.5 * space.learner_bits.min()
    assert not space.success
    assert "has shrunk to" in space.failure
    assert "Use the objective vi" in space.failure


def bit_learners(told: tuple[int, ...]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return `told[b]` learners of one channel for every bit b of 32 images: each tells that bit, and nothing else."""
    images = np.arange(32)
    bits = [(images >> b & 1)[:, None] * 10.0 for b in range(len(told))]
    return [(bits[b], np.full((32, 1), -2.0)) for b, learners in enumerate(told) for _ in range(learners)]


@pytest.mark.parametrize(
    ("told", "price", "kept"),
    [
        ((1, 1, 1), 0.5, 3),  # each tells a bit of its own, worth 1: all are kept below that price
        ((1, 1, 1), 1.5, 0),  # and none above
        ((1, 2, 4), 0.5, 3),
        ((1, 2, 4), 1.5, 2),  # what more than 1.5 learners tell
        ((1, 2, 4), 3.0, 1),
        ((3,), 1.5, 1),  # equal learners: one copy
    ],
)
def test_a_bit_is_kept_when_more_learners_tell_it_than_the_price(
    told: tuple[int, ...], price: float, kept: int
) -> None:
    learners = bit_learners(told)
    space = fuse(learners, dimension=3, objective="information-bottleneck", price=price, steps=400, restarts=1)
    assert space.information_bits == pytest.approx(kept, abs=0.05)
    assert space.objective == pytest.approx(sum(max(m - price, 0) for m in told), abs=0.05)
    here = distance(space.mean, space.logvar)
    shared = [float(mutual_information_bits(here, distance(*learner))) for learner in learners]
    expected = [float(m > price) for m in told for _ in range(m)]
    np.testing.assert_allclose(shared, expected, atol=0.05)
    assert space.success == (kept > 0)
    assert ("Lower the price" in space.failure) == (kept == 0)


def test_the_gradient_of_the_bottleneck_is_that_of_small_differences() -> None:
    learners = circle(3, images=8)
    references = ReferenceSpaces(
        torch.exp(-torch.stack([distance(m, v) for m, v in zip(learners.mean, learners.logvar, strict=True)]))
    )
    generator = torch.Generator().manual_seed(1)
    mean, logvar = (torch.randn(2, 8, 2, generator=generator, dtype=torch.float64).requires_grad_() for _ in "ab")

    def value(m: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return objective_value(references.compare(pair_coefficients(m, v)), "information-bottleneck", 1.7)

    assert torch.autograd.gradcheck(value, (mean, logvar))


def test_a_price_is_of_the_bottleneck_alone_and_leaves_the_ids_of_other_fusions_as_they_were() -> None:
    assert FusionConfig(objective="information-bottleneck").price == 1.5
    with pytest.raises(InvalidInputError, match="a price with the objective information-bottleneck only"):
        fuse(circle(3), price=2.0)
    with pytest.raises(InvalidInputError, match="greater than 0"):
        fuse(circle(3), objective="information-bottleneck", price=0.0)
    assert FusionConfig().key == KEY_BEFORE_PRICES
    keys = {FusionConfig(objective="information-bottleneck", price=price).key for price in (1.5, 2.0)}
    assert len(keys | {KEY_BEFORE_PRICES}) == 3


@pytest.mark.parametrize(("learners", "images", "steps"), [(8, N, 150), (2, 200, 30)])  # there, and on its way there
def test_mutual_information_runs_to_the_ceiling_and_is_not_called_a_success(
    learners: int, images: int, steps: int
) -> None:
    space = fuse(circle(learners, images), objective="mutual-information", steps=steps, restarts=1)
    assert space.information_bits > 0.9 * space.ceiling_bits
    assert not space.success
    assert "has run to" in space.failure


def test_two_unlike_learners_are_better_copied_and_the_result_says_so() -> None:
    rng = np.random.default_rng(0)
    unlike = [(rng.normal(0, 8, (N, 1)), np.full((N, 1), -1.0)) for _ in range(2)]
    space = fuse(unlike, dimension=1, steps=60, restarts=1)
    assert any("copy of space" in warning for warning in space.warnings)


def test_dead_learners_are_left_out_and_named() -> None:
    learners = circle(3)
    dead = Posteriors(np.zeros((1, N, 1)), np.zeros((1, N, 1)), sample_id="circle")
    with_dead = fuse([learners, dead], steps=20, restarts=1)
    assert with_dead.objective == pytest.approx(fuse(learners, steps=20, restarts=1).objective, abs=1e-12)
    assert with_dead.warnings[0] == "Left out, as they tell nothing apart: space 1."
    assert len(with_dead.learner_vi_bits) == 4


def test_stopped_and_taken_up_again_is_as_never_stopped(tmp_path: Path) -> None:
    learners, state = circle(4), tmp_path / "state.safetensors"
    whole = fuse(learners, steps=75)
    reports: list[FusionStep] = []
    first = fuse(learners, steps=75, state=state, on_progress=reports.append, should_stop=lambda: len(reports) == 2)
    assert (first.end, first.steps) == ("stopped", 51)
    assert reports[-1].objective == first.objective
    np.testing.assert_array_equal(reports[-1].mean.numpy(), first.mean)
    second = fuse(learners, steps=75, state=state)
    np.testing.assert_array_equal(second.mean, whole.mean)
    np.testing.assert_array_equal(second.logvar, whole.logvar)
    np.testing.assert_array_equal(second.objectives, whole.objectives)
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_state_on_disk_keeps_the_names_that_older_versions_gave_its_arrays(tmp_path: Path) -> None:
    learners, state, older = circle(4), tmp_path / "state.safetensors", tmp_path / "older.safetensors"
    whole = fuse(learners, steps=75)
    fuse(learners, steps=50, state=state)
    with safe_open(state, framework="np") as file:
        stored, facts = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    names = {"place", "moment", "square", "best", "best_value", "level", "rate", "idle", "history"}
    assert set(stored) == names
    assert stored["place"].shape == stored["moment"].shape == stored["best"].shape == (2, 3, N, 2)
    assert stored["rate"].max() <= 0.1
    assert stored["idle"].dtype == np.int64
    np.testing.assert_array_equal(stored["history"][:, 0], whole.objectives[:50])
    np.testing.assert_array_equal(stored["best_value"], stored["history"][:, 0].max(axis=0))
    save_file(stored, older, metadata=facts)
    again = fuse(learners, steps=75, state=older)
    assert again.steps == 75
    np.testing.assert_array_equal(again.mean, whole.mean)
    np.testing.assert_array_equal(again.objectives, whole.objectives)


def test_a_state_of_something_else_is_not_taken_up(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    fuse(circle(3), steps=25, restarts=1, state=state)
    other = fuse(circle(4), steps=25, restarts=1, state=state)
    np.testing.assert_array_equal(other.mean, fuse(circle(4), steps=25, restarts=1).mean)
    state.write_bytes(b"no state")
    with pytest.raises(BrokenFileError, match="Delete it to begin again"):
        fuse(circle(4), steps=25, state=state)


def test_what_is_saved_comes_back(fused: FusedSpace, tmp_path: Path) -> None:
    fused.save(tmp_path / "fused.npz")
    back = FusedSpace.load(tmp_path / "fused.npz")
    for name, value in vars(fused).items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)
    (tmp_path / "other.npz").write_bytes(b"")
    with pytest.raises(BrokenFileError):
        FusedSpace.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("learners", "settings", "sentence"),
    [
        ([circle(2), circle(2, sample_id="other")], {}, "Expected learners that saw one sample of images, got 2"),
        ([circle(2), circle(2, images=30)], {}, r"on the same images, got \[30, 40\] images"),
        ([], {}, "at least two learners to fuse, got none"),
        (circle(1), {}, "at least two learners to fuse, got one"),
        (circle(2), {"dimension": 0}, "dimension .* expected a value greater than or equal to 1, got 0"),
        (circle(2), {"dimension": N + 1}, "a dimension of at most 40, the number of images, got 41"),
        (Posteriors(np.zeros((2, N, 1)), np.zeros((2, N, 1))), {}, "None of the 2 learners .* channels are dead"),
    ],
)
def test_what_cannot_be_fused_is_refused_in_a_sentence(
    learners: object, settings: dict[str, int], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        fuse(learners, **settings)  # type: ignore[arg-type]


def test_members_and_channels_are_chosen_by_their_numbers() -> None:
    rng = np.random.default_rng(0)
    posteriors = Posteriors(rng.normal(size=(3, 5, 2)), np.zeros((3, 5, 2)), sample_id="s", member_ids=[2, 4, 7])
    members = select_learners(posteriors, FusionConfig(members=(7, 2)))
    assert members.names == ("member 7", "member 2")
    np.testing.assert_array_equal(members.mean[0], posteriors.mean[2])
    channels = select_learners(posteriors, FusionConfig(channels=((4, 1), (2, 0))))
    assert channels.names == ("channel 4.1", "channel 2.0")
    np.testing.assert_array_equal(channels.mean[0][:, 0], posteriors.mean[1, :, 1])
    assert len(select_learners(posteriors, FusionConfig()).mean) == 3


def test_channels_of_another_ensemble_than_the_home_say_so() -> None:
    home, other = circle(2), circle(3)
    config = FusionConfig(channels=(("other", 2, 0), ("other", 0, 0)))
    learners = select_learners(home, config, home="home", others={"other": other})
    assert learners.names == ("channel 2.0 of other", "channel 0.0 of other")
    np.testing.assert_array_equal(learners.mean[0], other.mean[2])
    named = FusionConfig(channels=(("home", 1, 0), (0, 0)))
    assert select_learners(home, named, home="home").names == ("channel 1.0", "channel 0.0")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"members": (2, 3)}, "There is no member 3 in the posteriors. There are 2 … 7"),
        ({"channels": ((2, 0), (2, 5))}, r"There is no channel 2\.5"),
        ({"members": (2, 2)}, "Expected each member once, got 2, 2"),
        ({"channels": ()}, "at least two channels to fuse, got none"),
        ({"members": (2,)}, r"at least two members to fuse, got \[2\]"),
    ],
)
def test_a_choice_that_is_not_there_is_named(values: dict[str, object], sentence: str) -> None:
    posteriors = Posteriors(np.zeros((3, 5, 2)), np.zeros((3, 5, 2)), member_ids=[2, 4, 7])
    with pytest.raises(InvalidInputError, match=sentence):
        select_learners(posteriors, FusionConfig.model_validate(values))
