"""Fusions: where they are kept and how they are found. Needs no torch.

    <workspace>/ensembles/<id>/fusions/<fusion>/
        fused.npz               the space, or the best so far of one that was stopped
        report.json             what the judges found
        encoder.safetensors     for new images
        state.safetensors       to go on from

A fusion lives with the ensemble that it was asked of, or, of channels of several, with that of the first one.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vaefrag_core.artifacts import FusedSpace, FusionState
from vaefrag_core.config import FusionConfig, content_key
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError, MissingDataError
from vaefrag_core.synthesis.channel_pool import ChannelName
from vaefrag_core.synthesis.learner_spaces import LearnerSpaces, select_learners

FORMAT = 1  # raised when a fusion computes something else from the same inputs
_ID = re.compile(r"[0-9a-f]{12}")


class FusionStore:
    """The fusions of one workspace.

    Args:
        store: its ensembles.
    """

    def __init__(self, store: EnsembleStore) -> None:
        self.store = store

    def learners(self, ensemble_id: str, config: FusionConfig) -> LearnerSpaces:
        """Take what a fusion asks for from its ensembles.

        Raises:
            InvalidInputError: when it cannot be fused: see `select_learners`.
            MissingDataError: when an ensemble, or its posteriors, are not there.
        """
        others = {other: self.store.posteriors(other) for other in config.others}
        return select_learners(self.store.posteriors(ensemble_id), config, home=ensemble_id, others=others)

    def id_of(self, ensemble_id: str, config: FusionConfig) -> str:
        """Name a fusion, whether it exists or not: twelve hexadecimal digits, the same for the same content.

        Raises:
            MissingDataError: when an ensemble, or its posteriors, are not there.
        """
        keys = [self.store.posteriors(source).key for source in dict.fromkeys([ensemble_id, *config.others])]
        source = keys[0] if len(keys) == 1 else keys
        return content_key({"format": FORMAT, "posteriors": source, "fusion": config.key})

    def folder(self, ensemble_id: str, fusion_id: str) -> Path:
        """Give the folder of a fusion, whether it exists or not; the id is checked, as it comes from URLs."""
        if not _ID.fullmatch(fusion_id):
            raise MissingDataError(f"There is no fusion {fusion_id!r}: that is not a fusion's id.")
        return self.store.folder(ensemble_id) / "fusions" / fusion_id

    def ids(self, ensemble_id: str) -> list[str]:
        """Give the ids of the fusions of an ensemble that have a result, the newest first."""
        found = self.store.folder(ensemble_id).glob("fusions/*/fused.npz")
        return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]

    def home(self, fusion_id: str) -> str:
        """Give the ensemble that a fusion lives with.

        Raises:
            MissingDataError: when the workspace has no such fusion.
        """
        if _ID.fullmatch(fusion_id):
            for path in self.store.workspace.glob(f"ensembles/*/fusions/{fusion_id}/fused.npz"):
                return path.parents[2].name
        raise MissingDataError(f"There is no fusion {fusion_id!r} in {self.store.workspace}.")

    def fused(self, ensemble_id: str, fusion_id: str) -> FusedSpace:
        """Read a fused space.

        Raises:
            MissingDataError: when there is none.
        """
        path = self.folder(ensemble_id, fusion_id) / "fused.npz"
        if not path.is_file():
            raise MissingDataError(f"There is no fusion {fusion_id!r} of ensemble {ensemble_id}.")
        return FusedSpace.load(path)

    def state(self, ensemble_id: str, fusion_id: str) -> FusionState | None:
        """Read how far a fusion is, while it runs or after; None before its first steps.

        Raises:
            BrokenFileError: when it cannot be read.
        """
        return FusionState.load(self.folder(ensemble_id, fusion_id) / "state.safetensors")

    def report(self, ensemble_id: str, fusion_id: str) -> dict[str, Any]:
        """Read how a fused space was judged; empty when it was stopped before."""
        path = self.folder(ensemble_id, fusion_id) / "report.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except ValueError as error:
            raise BrokenFileError(f"{path} cannot be read. Delete its folder, and fuse again.") from error
        return found


def channels_of(channels: Sequence[ChannelName], home: str) -> list[tuple[int, int] | tuple[str, int, int]]:
    """Give a set as `FusionConfig.channels` takes it: ensembles are named where they are not the fusion's own.

    Args:
        channels: of the set.
        home: id of the ensemble that the fusion lives with.
    """
    return [(c.member, c.channel) if c.ensemble == home else (c.ensemble, c.member, c.channel) for c in channels]
