"""What kinds of jobs there are. A kind joins here when its stage exists, and `worker.RUNS` says what it does."""

from dataclasses import dataclass
from typing import Literal

from vaefrag_core.config import AnalysisConfig, Config, EnsembleSpec, FusionConfig

JobKind = Literal["train", "analyze", "fuse"]


@dataclass(frozen=True)
class Kind:
    """How jobs of one kind are treated.

    Args:
        request: the config that says what is wanted.
        rank: jobs of a lower rank are served first, and running ones of a higher rank make room for them.
        needs: what a worker has to offer, as Dask resources. "cpu" is one process; "workspace" means that it
            sees the workspace's folder.
        likes_gpu: whether it goes to workers that offer a "gpu", and to no others, as long as there are any.
    """

    request: type[Config]
    rank: int
    needs: tuple[str, ...]
    likes_gpu: bool = False


KINDS: dict[JobKind, Kind] = {
    "train": Kind(EnsembleSpec, rank=1, needs=("cpu",), likes_gpu=True),
    "analyze": Kind(AnalysisConfig, rank=0, needs=("cpu", "workspace")),
    "fuse": Kind(FusionConfig, rank=1, needs=("cpu", "workspace")),
}
