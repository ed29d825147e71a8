"""Fusions: where they are kept and how they are found. Needs no torch.

    <workspace>/ensembles/<id>/fusions/<fusion>/
        fused.npz               the space, or the best so far of one that was stopped
        report.json             what the judges found
        encoder.safetensors     for new images
        state.safetensors       to go on from

A fusion lives with the ensemble that it was asked of.
"""

import json
import re
from pathlib import Path
from typing import Any

from vaefrag_core.artifacts import FusedSpace, Posteriors
from vaefrag_core.config import FusionConfig, content_key
from vaefrag_core.errors import BrokenFileError, MissingDataError
from vaefrag_core.store import EnsembleStore

FORMAT = 1  # raised when a fusion computes something else from the same inputs
_ID = re.compile(r"[0-9a-f]{12}")


class FusionStore:
    """The fusions of one workspace.

    Args:
        store: its ensembles.
    """

    def __init__(self, store: EnsembleStore) -> None:
        self.store = store

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

    def report(self, ensemble_id: str, fusion_id: str) -> dict[str, Any]:
        """Read how a fused space was judged; empty when it was stopped before."""
        path = self.folder(ensemble_id, fusion_id) / "report.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except ValueError as error:
            raise BrokenFileError(f"{path} cannot be read. Delete its folder, and fuse again.") from error
        return found


def fusion_id_of(posteriors: Posteriors, config: FusionConfig) -> str:
    """Name the fusion of an ensemble's posteriors: twelve hexadecimal digits, the same for the same content."""
    return content_key({"format": FORMAT, "posteriors": posteriors.key, "fusion": config.key})
