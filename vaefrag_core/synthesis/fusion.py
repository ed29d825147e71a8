"""One space from many: its posteriors on the sample are fitted to be as similar as can be, on average, to all learners.

Each objective has an end or a known failure, and a fusion that met its failure says so and is no success:

- `vi`, mean exp(−VI): the default. It weighs learners by how near they are, so that with few learners, or very unlike
  ones, copying a single one can be worth more than any synthesis; the result warns of that.
- `nmi`, mean NMI: rises while the space shrinks to nothing, since it is divided by what the space's own draws repeat.
- `mutual-information`, mean I(U;V): what tells every image apart loses nothing, so it runs to the ceiling log2 N.

Reference: Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). Comparing the information content of
probabilistic representation spaces. https://arxiv.org/abs/2405.21042
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaefrag_core.artifacts import FusedSpace, Posteriors
from vaefrag_core.artifacts.fusion import FusionEnd
from vaefrag_core.config import FusionConfig, FusionObjective, content_key
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_store import replacing
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.bhattacharyya_coefficient import bhattacharyya_coefficient
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.information import information_bits
from vaefrag_core.measures.reference_spaces import ReferenceBits, ReferenceSpaces
from vaefrag_core.measures.similarity import nmi, variation_of_information
from vaefrag_core.synthesis.combination import NEAR_CEILING
from vaefrag_core.synthesis.learner_spaces import LearnerSpaces, Space, check_dimension, gather
from vaefrag_core.synthesis.optimizer import MultiStartAdam, Values

DEAD_BITS = 0.01  # a learner that tells less apart is left out
COLLAPSED = 0.5  # of what the poorest learner carries: a space with less has shrunk, not learnt
SPREAD = 3.0  # of random starts, in σ: wide enough that most images differ, near enough that they attract
SCALES = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)  # of which the ordered start takes the best
SLICE = 25  # steps between two reports and two savings of the state


@dataclass(frozen=True)
class FusionStep:
    """How far a fusion is.

    Args:
        step: steps made.
        steps: at most.
        objective: of the best start so far.
        bits: its information, as it stands.
        mean, logvar: (N, d) of the best space so far.
    """

    step: int
    steps: int
    objective: float
    bits: float
    mean: Tensor
    logvar: Tensor


def fuse(
    learners: Posteriors | Sequence[Space],
    *,
    dimension: int = 2,
    objective: FusionObjective = "vi",
    steps: int = 1_500,
    restarts: int = 3,
    seed: int = 0,
    on_progress: Callable[[FusionStep], None] = lambda step: None,
    should_stop: Callable[[], bool] = lambda: False,
    state: Path | None = None,
) -> FusedSpace:
    """Fit one space to many.

    Args:
        learners: posteriors, every member of which is a learner; or a sequence of posteriors, likewise, and of pairs
            of mean and ln σ², each (N, d_k).
        dimension: d of the fused space.
        objective: "vi", "nmi" or "mutual-information".
        steps: at most; it ends when no start rises any more.
        restarts: the first starts from the learners' common order of the images, the others at random.
        seed: of the random starts.
        on_progress: called every 25 steps.
        should_stop: asked after every step; then the best so far is the result.
        state: a file to go on from, and to keep the state in.

    Returns:
        The best space of all starts, similarity to every learner, and whether its objective has failed.

    Raises:
        InvalidInputError: fewer than two learners, or dead ones alone; other images; a dimension that is 0 or beyond N.

    Example:
        >>> import math
        >>> angle = torch.arange(40) / 40 * 2 * math.pi
        >>> cut = [(angle - shift).remainder(2 * math.pi)[:, None] for shift in (0.0, 1.0, 2.0, 4.0)]
        >>> fused = fuse([(mean, torch.full((40, 1), -2.0)) for mean in cut], steps=20, restarts=1)
        >>> fused.mean.shape, fused.success
        ((40, 2), True)
    """
    values = {"dimension": dimension, "objective": objective, "steps": steps, "restarts": restarts, "seed": seed}
    return fuse_learners(
        gather(learners), parse(FusionConfig, values), on_progress=on_progress, should_stop=should_stop, state=state
    )


def fuse_learners(
    learners: LearnerSpaces,
    config: FusionConfig,
    *,
    on_progress: Callable[[FusionStep], None] = lambda step: None,
    should_stop: Callable[[], bool] = lambda: False,
    state: Path | None = None,
) -> FusedSpace:
    """Fit one space to learners that have been chosen; see `fuse`."""
    check_dimension(config.dimension, learners.n_images)
    distance = torch.stack([_distance(m, v) for m, v in zip(learners.mean, learners.logvar, strict=True)])
    single = information_bits(distance)
    live = single >= DEAD_BITS
    if not live.any():
        raise InvalidInputError(
            f"None of the {len(live)} learners tells images apart by {DEAD_BITS} bits or more: all of their channels"
            " are dead, and there is nothing to fuse. Choose others."
        )
    panel = ReferenceSpaces(torch.exp(-distance[live]))

    def evaluate(mean: Tensor, logvar: Tensor) -> Values:
        found = panel.compare(bhattacharyya_coefficient(mean, logvar))
        return objective_value(found, config.objective), found.single, found.vi.mean(dim=1)

    key = content_key([learners.key, config.model_dump(mode="json", exclude={"name", "steps", "members", "channels"})])
    climb = (MultiStartAdam.load(state, key) if state else None) or MultiStartAdam.begin(
        _starts(panel, config, evaluate)
    )
    end = _climb(climb, config, evaluate, key, state, on_progress, should_stop)
    best = int(climb.best_value.argmax())
    mean, logvar = climb.best[0, best], climb.best[1, best]
    alone = [learners.names[k] for k in torch.nonzero(~live).flatten().tolist()]
    return _result(learners, config, (mean, logvar), distance, single, climb, end, alone)


def objective_value(found: ReferenceBits, objective: FusionObjective) -> Tensor:
    """Give the value that is maximized, the mean over a panel's K learners.

    Args:
        found: R spaces beside the K learners.
        objective: "vi", mean exp(−VI); "nmi"; "mutual-information", bits.

    Returns:
        (R,) values; larger is better.
    """
    if objective == "vi":
        return torch.exp(-found.vi).mean(dim=1)
    if objective == "nmi":
        return found.nmi.nan_to_num(0.0).mean(dim=1)  # undefined where the space has shrunk to nothing
    return found.mutual_information.mean(dim=1)


def _climb(
    climb: MultiStartAdam,
    config: FusionConfig,
    evaluate: Callable[[Tensor, Tensor], Values],
    key: str,
    state: Path | None,
    on_progress: Callable[[FusionStep], None],
    should_stop: Callable[[], bool],
) -> FusionEnd:
    """Climb until it is flat, the steps are used up or somebody wants it to stop; keep the state."""
    stop = False
    while climb.step < config.steps and not climb.flat and not stop:
        climb.go(evaluate)
        stop = should_stop()
        if climb.step % SLICE == 0 or climb.step == config.steps or climb.flat or stop:
            best = int(climb.best_value.argmax())
            bits = float(climb.history[-1, 1, best])
            mean, logvar = climb.best[:, best]
            on_progress(FusionStep(climb.step, config.steps, float(climb.best_value[best]), bits, mean, logvar))
            if state is not None:
                with replacing(state) as temporary:
                    climb.save(temporary, key)
    if climb.flat:
        return "flat"
    return "steps" if climb.step >= config.steps else "stopped"


def _starts(panel: ReferenceSpaces, config: FusionConfig, evaluate: Callable[[Tensor, Tensor], Values]) -> Tensor:
    """Give (2, R, N, d): first the learners' common order of the images, then random ones."""
    shape = (panel.images, config.dimension)
    order = panel.order(config.dimension)
    scaled = torch.stack([scale * order for scale in SCALES])
    with torch.inference_mode():
        value = torch.cat([evaluate(one[None], torch.zeros_like(one[None]))[0] for one in scaled])
    generator = torch.Generator().manual_seed(config.seed)
    random = [SPREAD * torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(config.restarts - 1)]
    mean = torch.stack([scaled[int(value.argmax())], *random])
    return torch.stack([mean, torch.zeros_like(mean)])


def _result(
    learners: LearnerSpaces,
    config: FusionConfig,
    space: tuple[Tensor, Tensor],
    distance: Tensor,
    single: Tensor,
    climb: MultiStartAdam,
    end: FusionEnd,
    dead: Sequence[str],
) -> FusedSpace:
    """Say how the best space stands to every learner, by the functions that compare any two spaces."""
    fused = bhattacharyya_distance(*space)
    bits = float(information_bits(fused))
    vi = torch.stack([variation_of_information(fused, other) for other in distance])
    live = single >= DEAD_BITS
    failure = _failure(bits, single[live], learners.input_entropy_bits, config.objective)
    warnings = [f"Left out, as they tell nothing apart: {', '.join(dead)}."] if dead else []
    if end == "steps":
        warnings.append(f"It still rose after {climb.step:,} steps. Allow more of them.")
    if config.objective == "vi" and not failure:
        warnings += _copying(
            float(climb.best_value.max()), distance[live], [n for n in learners.names if n not in dead]
        )
    return FusedSpace(
        config=config,
        mean=space[0].numpy(),
        logvar=space[1].numpy(),
        objective=float(climb.best_value.max()),
        information_bits=bits,
        learner_names=learners.names,
        learner_bits=single.numpy(),
        learner_vi_bits=vi.numpy(),
        learner_nmi=torch.stack([nmi(fused, other) for other in distance]).numpy(),
        objectives=climb.history[:, 0].numpy(),
        bits=climb.history[:, 1].numpy(),
        mean_vi_bits=climb.history[:, 2].numpy(),
        end=end,
        failure=failure,
        warnings=tuple(warnings),
        learners_key=learners.key,
        sample_id=learners.sample_id,
        input_entropy_bits=learners.input_entropy_bits,
    )


def _failure(bits: float, learners: Tensor, ceiling: float, objective: FusionObjective) -> str:
    """Say when a space is the known failure of an objective rather than a fusion."""
    low, high = float(learners.min()), float(learners.max())
    advice = "" if objective == "vi" else " Use the objective vi, which has neither failure."
    if bits < COLLAPSED * low:
        return (
            f"The space has shrunk to {bits:.2g} bits, where the poorest learner carries {low:.2g}: its {objective} is"
            f" the similarity of next to nothing.{advice or ' The learners have little in common.'}"
        )
    if bits > NEAR_CEILING * ceiling and bits > high + (1 - NEAR_CEILING) * ceiling:
        return (
            f"The space has run to {bits:.2f} of at most {ceiling:.2f} bits, where the richest learner carries"
            f" {high:.2f}: it tells images apart that no learner does.{advice or ' Use more images.'}"
        )
    return ""


def _copying(objective: float, distance: Tensor, names: Sequence[str]) -> list[str]:
    """Warn when a mere copy of one learner would score higher."""
    coefficient = torch.exp(-distance)
    panel = ReferenceSpaces(coefficient)
    copies = torch.stack([torch.exp(-panel.compare(one[None]).vi).mean() for one in coefficient])
    best = int(copies.argmax())
    if float(copies[best]) <= objective + 1e-3:
        return []
    return [
        f"A copy of {names[best]} would score {float(copies[best]):.3f}, more than this space's {objective:.3f}: the"
        " learners are too few, or too unlike, for this objective to tell fusing from copying. Fuse more of them."
    ]


def _distance(mean: np.ndarray, logvar: np.ndarray) -> Tensor:
    return bhattacharyya_distance(torch.from_numpy(mean), torch.from_numpy(logvar))
