"""The fusions of a workspace on disk, and their ids. Needs no torch.

    <workspace>/ensembles/<id>/fusions/<fusion>/
        fused.npz               the space, or the best so far of one that was stopped
        report.json             its evaluation
        encoder.safetensors     for new images
        state.safetensors       of the optimizer, to go on from

A fusion lives with the ensemble that it was asked of; one of channels of several ensembles with that of the first.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vaefrag_core.artifacts import FusedSpace, FusionState, Posteriors
from vaefrag_core.artifacts.zip_limits import read_json
from vaefrag_core.config import FusionConfig, content_key
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError, MissingDataError
from vaefrag_core.synthesis.channel_pool import ChannelName
from vaefrag_core.synthesis.learner_spaces import LearnerSpaces, select_learners

FORMAT = 1  # to be raised when the same inputs are fused into something else
_ID = re.compile(r"[0-9a-f]{12}")


class FusionStore:
    """The fusions of one workspace.

    Args:
        store: its ensembles.
    """

    def __init__(self, store: EnsembleStore) -> None:
        self.store = store

    def learners(self, ensemble_id: str, config: FusionConfig) -> LearnerSpaces:
        """Read the learners that a fusion names.

        Raises:
            InvalidInputError: when they cannot be fused: see `select_learners`.
            MissingDataError: when an ensemble, or its posteriors, are not there.
        """
        sources = self.sources(ensemble_id, config)
        return select_learners(sources[ensemble_id], config, home=ensemble_id, others=sources)

    def id_of(self, ensemble_id: str, config: FusionConfig) -> str:
        """Return the id of a fusion, whether it exists or not; see `fusion_id_of`.

        Raises:
            MissingDataError: when an ensemble, or its posteriors, are not there.
        """
        return fusion_id_of(self.sources(ensemble_id, config), config)

    def sources(self, ensemble_id: str, config: FusionConfig) -> dict[str, Posteriors]:
        """Read the posteriors that a fusion is made from, by ensemble id; its home first.

        Raises:
            MissingDataError: when an ensemble, or its posteriors, are not there.
        """
        return {source: self.store.posteriors(source) for source in dict.fromkeys([ensemble_id, *config.others])}

    def folder(self, ensemble_id: str, fusion_id: str) -> Path:
        """Return the folder of a fusion, whether it exists or not.

        Raises:
            MissingDataError: when the id, which may come from a URL, has not the form of one.
        """
        if not _ID.fullmatch(fusion_id):
            raise MissingDataError(f"There is no fusion {fusion_id!r}: that is not a fusion's id.")
        return self.store.folder(ensemble_id) / "fusions" / fusion_id

    def ids(self, ensemble_id: str) -> list[str]:
        """Return the ids of the fusions of an ensemble that have a result, the newest first."""
        paths = self.store.folder(ensemble_id).glob("fusions/*/fused.npz")
        return [path.parent.name for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)]

    def home(self, fusion_id: str) -> str:
        """Return the id of the ensemble that a fusion lives with.

        Raises:
            MissingDataError: when the workspace has no such fusion.
        """
        if _ID.fullmatch(fusion_id):  # else it could be a pattern, or lead out of the folder
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
        """Read how far a fusion is, while it runs or after; None before the first save.

        Raises:
            BrokenFileError: when it cannot be read.
        """
        return FusionState.load(self.folder(ensemble_id, fusion_id) / "state.safetensors")

    def report(self, ensemble_id: str, fusion_id: str) -> dict[str, Any]:
        """Read the evaluation of a fused space; {} when it was stopped before.

        Raises:
            BrokenFileError: when it cannot be read.
        """
        path = self.folder(ensemble_id, fusion_id) / "report.json"
        try:
            report: dict[str, Any] = read_json(path) if path.is_file() else {}
        except ValueError as error:
            raise BrokenFileError(f"{path} cannot be read. Delete its folder, and fuse again.") from error
        return report


def fusion_id_of(sources: Mapping[str, Posteriors], config: FusionConfig) -> str:
    """Return the id of a fusion: twelve hexadecimal digits, the same for the same content.

    Args:
        sources: of `FusionStore.sources`.
        config: of the fusion.
    """
    keys = [posteriors.key for posteriors in sources.values()]
    # One key alone is no list, so that fusions of one ensemble keep the ids that they have on disk.
    return content_key({"format": FORMAT, "posteriors": keys[0] if len(keys) == 1 else keys, "fusion": config.key})


def channels_of(channels: Sequence[ChannelName], home: str) -> list[tuple[int, int] | tuple[str, int, int]]:
    """Return a set as `FusionConfig.channels` takes it: ensembles are named where they are not the fusion's own.

    Args:
        channels: the set.
        home: id of the ensemble that the fusion lives with.
    """
    return [(c.member, c.channel) if c.ensemble == home else (c.ensemble, c.member, c.channel) for c in channels]
