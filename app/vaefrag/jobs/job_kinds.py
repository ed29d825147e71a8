"""The kinds of jobs, and how the engine treats each. `worker.RUNNERS` holds the function that does a kind's work."""

from dataclasses import dataclass
from typing import Literal

from vaefrag_core.config import AnalysisConfig, Config, EnsembleSpec, FusionConfig

JobKind = Literal["train", "analyze", "fuse"]


@dataclass(frozen=True)
class KindPolicy:
    """How the engine treats jobs of one kind.

    Args:
        request: the class of the config that a job of this kind carries out.
        rank: jobs of a lower rank are served first, and running ones of a higher rank make room for them.
        needs: the Dask resources that a worker has to offer. "cpu" is one process; "workspace" means that the worker
            sees the workspace's folder.
        prefers_gpu: whether the work goes to workers that offer a "gpu", and to no others, as long as there are any.
    """

    request: type[Config]
    rank: int
    needs: tuple[str, ...]
    prefers_gpu: bool = False


KINDS: dict[JobKind, KindPolicy] = {
    "train": KindPolicy(EnsembleSpec, rank=1, needs=("cpu",), prefers_gpu=True),
    "analyze": KindPolicy(AnalysisConfig, rank=0, needs=("cpu", "workspace")),
    "fuse": KindPolicy(FusionConfig, rank=1, needs=("cpu", "workspace")),
}
