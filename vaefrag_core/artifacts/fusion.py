"""A space that was fitted to many, and how far such a fit is."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts.files import read_npz
from vaefrag_core.artifacts.posteriors import Posteriors
from vaefrag_core.config import FusionConfig
from vaefrag_core.errors import BrokenFileError

FusionEnd = Literal["flat", "steps", "stopped"]
_ARRAYS = ("mean", "logvar", "learner_bits", "learner_vi_bits", "learner_nmi", "objectives", "bits", "mean_vi_bits")


@dataclass(frozen=True, eq=False)
class FusedSpace:
    """The space whose posteriors are most similar, on average, to those of all learners.

    Args:
        config: of the fusion.
        mean: (N, d) posterior means.
        logvar: (N, d) ln σ².
        objective: value of the objective; larger is better.
        information_bits: I(X;U) of the fused space.
        learner_names: (K,) names of the learners, the dead ones included.
        learner_bits: (K,) I(X;V) of each learner.
        learner_vi_bits: (K,) VI between the fused space and each learner, bits.
        learner_nmi: (K,) NMI of the fused space with each learner; NaN where a learner tells nothing apart.
        objectives: (T, R) objective of R starts at each of T steps.
        bits: (T, R) information of the starts.
        mean_vi_bits: (T, R) mean VI of the starts to the live learners.
        end: "flat" when no start could be improved, "steps" when they were used up, "stopped" when a stop was asked
            for: then this is the best so far.
        failure: why this is no success, in a sentence; "" when it is one.
        warnings: sentences on what else to know before using it.
        learners_key: names the content that was fused.
        sample_id: names the sample of images; None when unknown.
        input_entropy_bits: H(X), less than log2 N where images are copies; None where they were not looked for.
    """

    config: FusionConfig
    mean: FloatArray
    logvar: FloatArray
    objective: float
    information_bits: float
    learner_names: tuple[str, ...]
    learner_bits: FloatArray
    learner_vi_bits: FloatArray
    learner_nmi: FloatArray
    objectives: FloatArray
    bits: FloatArray
    mean_vi_bits: FloatArray
    end: FusionEnd
    failure: str
    warnings: tuple[str, ...]
    learners_key: str
    sample_id: str | None = None
    input_entropy_bits: float | None = None

    @property
    def success(self) -> bool:
        """Whether the objective was maximized without one of its known failures."""
        return not self.failure

    @property
    def ceiling_bits(self) -> float:
        """H(X), log2 N without copies: what tells all images of the sample apart."""
        return math.log2(len(self.mean)) if self.input_entropy_bits is None else self.input_entropy_bits

    @property
    def steps(self) -> int:
        """T, steps made."""
        return len(self.objectives)

    def posteriors(self, source: Posteriors | None = None) -> Posteriors:
        """Return the fused space as posteriors of one member.

        Args:
            source: posteriors on the same sample, whose labels and images are taken over.
        """
        alone = Posteriors(self.mean[None], self.logvar[None], sample_id=self.sample_id)
        if source is None:
            return alone
        return replace(
            alone,
            labels=source.labels,
            label_names=source.label_names,
            images=source.images,
            copy_of=source.image_copies,
            identifiers=source.identifiers,
        )

    def save(self, path: Path) -> None:
        """Write into a file."""
        facts = {
            "config": self.config.model_dump(mode="json"),
            **{n: getattr(self, n) for n in ("objective", "information_bits", "learner_names", "end", "failure")},
            **{n: getattr(self, n) for n in ("warnings", "learners_key", "sample_id", "input_entropy_bits")},
        }
        with path.open("wb") as file:  # an open file: of a path, numpy would change the ending
            np.savez(file, facts=np.array(json.dumps(facts)), **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, path: Path) -> "FusedSpace":
        """Read what `save` wrote.

        Raises:
            MissingDataError: when there is no such file.
            BrokenFileError: when it cannot be read.
        """
        arrays = read_npz(path, {"facts", *_ARRAYS}.__contains__)
        try:
            facts: dict[str, Any] = json.loads(str(arrays["facts"]))
            texts: dict[str, Any] = {name: tuple(facts.pop(name)) for name in ("learner_names", "warnings")}
            config = FusionConfig.model_validate(facts.pop("config"))
            return cls(config=config, **{name: arrays[name] for name in _ARRAYS}, **texts, **facts)
        except (KeyError, ValueError, TypeError) as error:
            raise BrokenFileError(f"{path} is not a fused space that can be read ({error}). Fuse again.") from error


@dataclass(frozen=True, eq=False)
class FusionState:
    """How far a fusion is: what of the optimizer's state can be shown.

    Args:
        mean: (N, d) posterior means of the best space so far.
        logvar: (N, d) ln σ² of the best space so far.
        objectives: (T, R) objective of R starts at each of T steps.
        bits: (T, R) information of the starts.
        best: index of the start that `mean` and `logvar` are of.
    """

    mean: FloatArray
    logvar: FloatArray
    objectives: FloatArray
    bits: FloatArray
    best: int

    @classmethod
    def load(cls, path: Path) -> "FusionState | None":
        """Read what `synthesis.optimizer` saved; None when there is no such file. Needs no torch.

        Raises:
            BrokenFileError: when it cannot be read.
        """
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="np") as file:
                best = int(file.get_tensor("best_value").argmax())
                mean, logvar = file.get_slice("best")[:, best : best + 1][:, 0]  # of one start of up to 64
                history = file.get_tensor("history")
        except (SafetensorError, OSError, ValueError) as error:
            raise BrokenFileError(f"{path} is not the state of a fusion that can be read ({error}).") from error
        return cls(mean, logvar, history[:, 0], history[:, 1], best)
