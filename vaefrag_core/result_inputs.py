"""What results are named by: the inputs whose hash is part of a folder's name, and the stages that report progress.

Two stages that need the same result must agree on its inputs, or neither finds what the other has computed.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from vaefrag_core.config import Estimator, HotspotConfig, NullConfig, SpaceConfig

RESULTS_FORMAT = 8  # raised when a stage computes something else from the same inputs

Stage = Literal[
    "encode",
    "compare",
    "hotspots",
    "maps",
    "stability",
    "over-training",
    "traversals",
    "spaces",
    "atlas",
    "shuffled",
    "rotated",
    "fewer",
]
OnStage = Callable[[Stage, float], None]  # called with the stage at work and the share of it that is done


def ignore_stage(stage: Stage, share: float) -> None:
    """Report progress to nobody."""


def result_inputs(posteriors_key: str) -> dict[str, object]:
    """Return the inputs that all results share."""
    return {"format": RESULTS_FORMAT, "posteriors": posteriors_key}


def matrix_inputs(posteriors_key: str, estimator: Estimator) -> dict[str, object]:
    """Return the inputs of the similarity of all channels."""
    # The bound is not named: its results are older than the choice.
    return result_inputs(posteriors_key) | ({} if estimator == "bound" else {"estimator": estimator})


def hotspot_inputs(posteriors_key: str, config: HotspotConfig) -> dict[str, object]:
    """Return the inputs of the hotspots by one measure."""
    return result_inputs(posteriors_key) | {"hotspots": config.model_dump(mode="json")}


def null_inputs(posteriors_key: str, hotspots: HotspotConfig, config: NullConfig) -> dict[str, object]:
    """Return the inputs of what hotspots are held against."""
    return hotspot_inputs(posteriors_key, hotspots) | {"null": config.model_dump(mode="json")}


def space_inputs(posteriors_key: str, config: SpaceConfig) -> dict[str, object]:
    """Return the inputs of the comparison of whole latent spaces."""
    return result_inputs(posteriors_key) | {"spaces": config.model_dump(mode="json")}


def snapshot_inputs(posteriors_key: str, steps: Sequence[int]) -> dict[str, object]:
    """Return the inputs of the posteriors at several steps of training."""
    return result_inputs(posteriors_key) | {"steps": list(steps)}
