"""One space from many: posteriors fitted to be as similar as can be, on average, to those of all learners.

Each objective has an end or a known failure, and a fusion that met its failure says so and is no success:

- `vi`, mean exp(−VI): the default. It weighs learners by how near they are, so that with few learners, or very unlike
  ones, copying a single one can score higher than any synthesis; the result warns of that.
- `nmi`, mean NMI: rises while the space shrinks to nothing, since it is divided by what the space's own draws repeat.
- `mutual-information`, mean I(U;V): a space that tells every image apart loses nothing, so it runs to the ceiling
  log2 N.
- `information-bottleneck`, Σ I(U;V) − λ I(X;U): the relevance of a space to all learners at a price λ for every bit. A
  bit that m learners tell is worth m and costs λ, so that it is kept where m > λ.

Reference: Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). Comparing the information content of probabilistic
representation spaces. https://arxiv.org/abs/2405.21042; Tishby, N., Pereira, F. C., Bialek, W. (1999). The information
bottleneck method. https://arxiv.org/abs/physics/0004057; Friedman, N., Mosenzon, O., Slonim, N., Tishby, N. (2001).
Multivariate information bottleneck. https://arxiv.org/abs/1301.2270
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaefrag_core.artifacts import FusedSpace, Posteriors
from vaefrag_core.artifacts.fusion import FusionEnd
from vaefrag_core.config import FusionConfig, FusionObjective, HotspotConfig, content_key
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_store import replacing
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.bhattacharyya_coefficient import pair_coefficients
from vaefrag_core.measures.gaussian import DEFAULT_DIVERGENCE
from vaefrag_core.measures.information import information_bits
from vaefrag_core.measures.reference_spaces import ReferenceBits, ReferenceSpaces
from vaefrag_core.measures.similarity import nmi, variation_of_information
from vaefrag_core.synthesis.combination import NEAR_CEILING
from vaefrag_core.synthesis.learner_spaces import LearnerSpaces, Space, as_learners, check_dimension
from vaefrag_core.synthesis.optimizer import MultiStartAdam, Values

DEAD_BITS = HotspotConfig().min_bits  # a learner that carries less is left out
COLLAPSE_SHARE = 0.5  # of what the poorest learner carries: a space with less has shrunk, not learnt
RANDOM_START_SIGMA = 3.0  # wide enough that most images differ, near enough that they attract one another
GROWING_START_SIGMA = 0.5  # of the bottleneck: what pays for itself grows, where merging what lies apart has no slope
SPECTRAL_START_SCALES = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)  # in σ, of which the best is taken
STEPS_BETWEEN_SAVES = 25  # also between two reports of progress
COPY_MARGIN = 1e-3  # by which a copy of a learner has to score higher before it is worth a warning


@dataclass(frozen=True)
class FusionStep:
    """How far a fusion is.

    Args:
        step: steps made.
        steps: steps at most.
        objective: the largest so far.
        bits: information that the start which reached it carries now.
        mean: (N, d) posterior means where the objective was largest.
        logvar: (N, d) ln σ² there.
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
    price: float | None = None,
    steps: int = 1_500,
    restarts: int = 3,
    seed: int = 0,
    on_progress: Callable[[FusionStep], None] = lambda step: None,
    should_stop: Callable[[], bool] = lambda: False,
    state: Path | None = None,
) -> FusedSpace:
    """Fit one space to many.

    Args:
        learners: posteriors, every member of which is a learner; or a sequence of such posteriors and of pairs of
            mean and ln σ², each (N, d_k).
        dimension: d of the fused space.
        objective: "vi", "nmi", "mutual-information" or "information-bottleneck".
        price: λ of "information-bottleneck": learners that must tell a fragment for it to be kept; 1.5 by default.
        steps: steps at most; fewer when no start makes progress any more.
        restarts: number of starts; the first from the learners' common order of the images, the others random.
        seed: of the random starts.
        on_progress: called every 25 steps.
        should_stop: called after every step; once it returns True, the best space so far is the result.
        state: a file that the state is saved in, and that an earlier run goes on from.

    Returns:
        The best space of all starts, its similarity to every learner, and whether its objective has failed.

    Raises:
        InvalidInputError: for fewer than two learners, learners that are all dead or saw different images, and a
            dimension that is 0 or beyond N.

    Example:
        >>> import math
        >>> angle = torch.arange(40) / 40 * 2 * math.pi
        >>> cut = [(angle - shift).remainder(2 * math.pi)[:, None] for shift in (0.0, 1.0, 2.0, 4.0)]
        >>> fused = fuse([(mean, torch.full((40, 1), -2.0)) for mean in cut], steps=20, restarts=1)
        >>> fused.mean.shape, fused.success
        ((40, 2), True)
    """
    values = {"dimension": dimension, "objective": objective, "price": price, "steps": steps}
    return fuse_learners(
        as_learners(learners),
        parse(FusionConfig, values | {"restarts": restarts, "seed": seed}),
        on_progress=on_progress,
        should_stop=should_stop,
        state=state,
    )


def fuse_learners(
    learners: LearnerSpaces,
    config: FusionConfig,
    *,
    on_progress: Callable[[FusionStep], None] = lambda step: None,
    should_stop: Callable[[], bool] = lambda: False,
    state: Path | None = None,
) -> FusedSpace:
    """Fit one space to learners; see `fuse`."""
    check_dimension(config.dimension, learners.n_images)
    distance = torch.stack([_distance(m, v) for m, v in zip(learners.mean, learners.logvar, strict=True)])
    single = information_bits(distance)
    # Nothing is nearer to a dead learner than a space that has shrunk to nothing, and its NMI is undefined.
    live = single >= DEAD_BITS
    if not live.any():
        raise InvalidInputError(
            f"None of the {len(live)} learners tells images apart by {DEAD_BITS} bits or more: all of their channels"
            " are dead, and there is nothing to fuse. Choose others."
        )
    references = ReferenceSpaces(torch.exp(-distance[live]))

    def evaluate(mean: Tensor, logvar: Tensor) -> Values:
        comparison = references.compare(pair_coefficients(mean, logvar))
        return objective_value(comparison, config.objective, config.price), comparison.single, comparison.vi.mean(dim=1)

    # Steps are no part of the key: with more of them, the same run goes on.
    fields = config.content(exclude=frozenset({"name", "steps", "members", "channels"}))
    key = content_key([learners.key, fields])
    optimizer = MultiStartAdam.load(state, key) if state else None
    optimizer = optimizer or MultiStartAdam.from_starts(_starts(references, config, evaluate))
    end = _optimize(optimizer, config, evaluate, key, state, on_progress, should_stop)
    return _result(learners, config, distance, single, optimizer, end)


def objective_value(comparison: ReferenceBits, objective: FusionObjective, price: float | None = None) -> Tensor:
    """Return the value that is maximized: the mean over K learners, or their sum less the price of the bits.

    Args:
        comparison: R spaces compared with the K learners.
        objective: "vi", mean exp(−VI); "nmi", mean NMI; "mutual-information", mean I(U;V) in bits;
            "information-bottleneck", Σ I(U;V) − λ I(X;U) in bits.
        price: λ, where the objective reads one.

    Returns:
        (R,) values; larger is better.
    """
    if objective == "vi":
        return torch.exp(-comparison.vi).mean(dim=1)
    if objective == "nmi":
        return comparison.nmi.nan_to_num(0.0).mean(dim=1)  # undefined where the space has shrunk to nothing
    if objective == "information-bottleneck":
        assert price is not None  # the config of this objective has one
        return comparison.mutual_information.sum(dim=1) - price * comparison.single
    return comparison.mutual_information.mean(dim=1)


def _optimize(
    optimizer: MultiStartAdam,
    config: FusionConfig,
    evaluate: Callable[[Tensor, Tensor], Values],
    key: str,
    state: Path | None,
    on_progress: Callable[[FusionStep], None],
    should_stop: Callable[[], bool],
) -> FusionEnd:
    """Step until no start makes progress, the steps are used up or a stop is asked for; save the state on the way."""
    stop = False
    while optimizer.steps < config.steps and not optimizer.converged and not stop:
        optimizer.step(evaluate)
        stop = should_stop()
        last = stop or optimizer.converged or optimizer.steps == config.steps
        if last or optimizer.steps % STEPS_BETWEEN_SAVES == 0:
            best = optimizer.best_start
            on_progress(
                FusionStep(
                    step=optimizer.steps,
                    steps=config.steps,
                    objective=float(optimizer.best_value[best]),
                    bits=float(optimizer.history[-1, 1, best]),
                    mean=optimizer.best[0, best],
                    logvar=optimizer.best[1, best],
                )
            )
            if state is not None:
                with replacing(state) as temporary:
                    optimizer.save(temporary, key)
    if optimizer.converged:
        return "flat"
    return "steps" if optimizer.steps >= config.steps else "stopped"


def _starts(references: ReferenceSpaces, config: FusionConfig, evaluate: Callable[[Tensor, Tensor], Values]) -> Tensor:
    """Return means and ln σ² of all starts, (2, R, N, d): the learners' common order of the images, then random ones.

    The order has no scale of its own, so several are tried, all with σ = 1. Those of the bottleneck begin with next to
    no information.
    """
    bottleneck = config.objective == "information-bottleneck"
    shape = (references.images, config.dimension)
    order = references.order(config.dimension)
    scales = (GROWING_START_SIGMA,) if bottleneck else SPECTRAL_START_SCALES
    scaled = torch.stack([scale * order for scale in scales])
    with torch.inference_mode():  # one at a time: each takes as much memory as a start
        value = torch.cat([evaluate(mean[None], torch.zeros_like(mean[None]))[0] for mean in scaled])
    generator = torch.Generator().manual_seed(config.seed)
    random = [
        (GROWING_START_SIGMA if bottleneck else RANDOM_START_SIGMA)
        * torch.randn(shape, generator=generator, dtype=torch.float64)
        for _ in range(config.restarts - 1)
    ]
    mean = torch.stack([scaled[int(value.argmax())], *random])
    return torch.stack([mean, torch.zeros_like(mean)])


def _result(
    learners: LearnerSpaces,
    config: FusionConfig,
    distance: Tensor,
    single: Tensor,
    optimizer: MultiStartAdam,
    end: FusionEnd,
) -> FusedSpace:
    """Compare the best space with every learner, by the functions that compare any two spaces.

    Args:
        learners: K learners, the dead ones included.
        config: of the fusion.
        distance: (K, N, N) distances of the learners, nats.
        single: (K,) bits of the learners.
        optimizer: when it has ended.
        end: why it has.
    """
    best = optimizer.best_start
    mean, logvar, objective = optimizer.best[0, best], optimizer.best[1, best], float(optimizer.best_value[best])
    fused = DEFAULT_DIVERGENCE.distance(mean, logvar)
    bits = float(information_bits(fused))
    vi = torch.stack([variation_of_information(fused, other) for other in distance])
    live = single >= DEAD_BITS
    dead_names = [name for name, is_live in zip(learners.names, live, strict=True) if not is_live]
    live_names = [name for name, is_live in zip(learners.names, live, strict=True) if is_live]
    # The bottleneck asks for what all learners know together; the others for what they have in common.
    together = information_bits(distance.sum(dim=0)) if config.objective == "information-bottleneck" else single.max()
    failure = _failure(bits, single[live], float(together), learners.input_entropy_bits, config.objective)
    warnings = [f"Left out, as they tell nothing apart: {', '.join(dead_names)}."] if dead_names else []
    if end == "steps":
        warnings.append(f"It still rose after {optimizer.steps:,} steps. Allow more of them.")
    if config.objective == "vi" and not failure:
        warnings += _copy_warning(objective, distance[live], live_names)
    if config.objective == "information-bottleneck" and not failure:
        warnings += _saturation_warning(bits, learners.input_entropy_bits)
    return FusedSpace(
        config=config,
        mean=mean.numpy(),
        logvar=logvar.numpy(),
        objective=objective,
        information_bits=bits,
        learner_names=learners.names,
        learner_bits=single.numpy(),
        learner_vi_bits=vi.numpy(),
        learner_nmi=torch.stack([nmi(fused, other) for other in distance]).numpy(),
        objectives=optimizer.history[:, 0].numpy(),
        bits=optimizer.history[:, 1].numpy(),
        mean_vi_bits=optimizer.history[:, 2].numpy(),
        end=end,
        failure=failure,
        warnings=tuple(warnings),
        learners_key=learners.key,
        sample_id=learners.sample_id,
        input_entropy_bits=learners.input_entropy_bits,
    )


def _failure(bits: float, learner_bits: Tensor, high: float, ceiling: float, objective: FusionObjective) -> str:
    """Return why a space is the known failure of an objective rather than a fusion; "" when it is none.

    Args:
        bits: of the space.
        learner_bits: of the live learners.
        high: bits of the richest of them; of all side by side where their union is asked for.
        ceiling: H(X), bits.
        objective: that was maximized.
    """
    low, bottleneck = float(learner_bits.min()), objective == "information-bottleneck"
    advice = "Use the objective vi, which has neither failure."
    if bottleneck and bits < DEAD_BITS:
        return (
            f"The space tells nothing apart ({bits:.2g} bits): no fragment is told by more learners than the price asks"
            " for. Lower the price."
        )
    if not bottleneck and bits < COLLAPSE_SHARE * low:
        advice = "The learners have little in common." if objective == "vi" else advice
        return (
            f"The space has shrunk to {bits:.2g} bits, where the poorest learner carries {low:.2g}: its {objective} is"
            f" the similarity of next to nothing. {advice}"
        )
    # Learners that are near the ceiling themselves may well be fused into a space that is.
    if bits > NEAR_CEILING * ceiling and bits > high + (1 - NEAR_CEILING) * ceiling:
        richest = "all learners side by side carry" if bottleneck else "the richest learner carries"
        remedies: dict[FusionObjective, str] = {"vi": "Use more images.", "information-bottleneck": "Raise the price."}
        return (
            f"The space has run to {bits:.2f} of at most {ceiling:.2f} bits, where {richest} {high:.2f}: it tells"
            f" images apart that no learner does. {remedies.get(objective, advice)}"
        )
    return ""


def _saturation_warning(bits: float, ceiling: float) -> list[str]:
    """Return a warning when a union of learners is near the ceiling, where bits can no longer be told; [] otherwise."""
    if bits <= NEAR_CEILING * ceiling:
        return []
    return [
        f"It carries {bits:.2f} of at most {ceiling:.2f} bits: it tells nearly all of these images apart, and what it"
        " knows beyond that is not seen. Use more images, or raise the price."
    ]


def _copy_warning(objective: float, distance: Tensor, names: Sequence[str]) -> list[str]:
    """Return a warning when a mere copy of one learner would score higher; [] otherwise."""
    coefficient = torch.exp(-distance)
    references = ReferenceSpaces(coefficient)
    copies = torch.cat([objective_value(references.compare(copy[None]), "vi") for copy in coefficient])
    best = int(copies.argmax())
    if float(copies[best]) <= objective + COPY_MARGIN:
        return []
    return [
        f"A copy of {names[best]} would score {float(copies[best]):.3f}, more than this space's {objective:.3f}: the"
        " learners are too few, or too unlike, for this objective to tell fusing from copying. Fuse more of them."
    ]


def _distance(mean: np.ndarray, logvar: np.ndarray) -> Tensor:
    return DEFAULT_DIVERGENCE.distance(torch.from_numpy(mean), torch.from_numpy(logvar))
