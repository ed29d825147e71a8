"""A folder per ensemble, a file per artifact, written whole or not at all.

    <workspace>/ensembles/<id>/
        spec.json                 what was asked for, and the versions that made it
        members/<index>/          checkpoint.safetensors: weights, optimizer, history
        posteriors.npz            the fingerprint of all members
        analysis/<kind>-<key>/    one result; the key is a hash of what it was made from
        analysis/latest.json      which results the pages show
        fusions/<id>/             spaces fused from its channels: fusions.py

Nothing here is ever unpickled, and nothing is changed in place: a new file takes the old one's name.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import SerializerFunctionWrapHandler, model_serializer

from vaefrag_core.artifacts import (
    Analysis,
    ChannelMap,
    ChannelMatrix,
    Hotspots,
    OverTraining,
    Posteriors,
    Stability,
    Traversals,
)
from vaefrag_core.config import AnalysisConfig, Config, EnsembleSpec, Measure, content_key
from vaefrag_core.config_errors import parse
from vaefrag_core.errors import BrokenFileError, BusyError, MissingDataError

Read = TypeVar("Read")

SPEC_FORMAT = 1
IMPORTED = "imported"  # in place of a data set: the posteriors came from elsewhere, and there is nothing to train
_ID = re.compile(r"[a-z0-9][a-z0-9.\-]{0,99}")


@dataclass(frozen=True)
class EnsembleRecord:
    """What the workspace knows about an ensemble.

    Args:
        id: its folder's name, made from its spec.
        spec: what was asked for.
        created: when, ISO 8601, UTC.
        versions: of the packages that made it.
    """

    id: str
    spec: EnsembleSpec
    created: str
    versions: Mapping[str, str]

    @property
    def name(self) -> str:
        """What the ensemble is called on the pages."""
        return self.spec.name

    @property
    def imported(self) -> bool:
        """Whether its posteriors came from elsewhere, so that there is nothing to train."""
        return self.spec.dataset.name == IMPORTED


class AnalysisIndex(Config):
    """The settings of an analysis and the folders, within `analysis/`, that hold its results."""

    config: AnalysisConfig
    posteriors_key: str
    matrix: str
    hotspots: dict[Measure, str]
    maps: dict[Measure, str]
    traversals: str | None = None
    stability: str | None = None
    over_training: str | None = None

    @model_serializer(mode="wrap")
    def _as_found(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what there is nothing of: the keys of analyses of ensembles without snapshots are older."""
        content: dict[str, Any] = dump(self)
        if self.over_training is None:
            content.pop("over_training", None)
        return content


class EnsembleStore:
    """The ensembles of one workspace.

    Args:
        workspace: a folder; made when something is first written to it.
    """

    def __init__(self, workspace: str | Path) -> None:
        self.workspace = Path(workspace)
        self._ensembles = self.workspace / "ensembles"

    def create(self, spec: EnsembleSpec) -> EnsembleRecord:
        """Give the ensemble of a spec, new or as it stands: equal specs are the same ensemble."""
        ensemble_id = ensemble_id_of(spec)
        path = self.folder(ensemble_id) / "spec.json"
        if not path.exists():
            packages = ("vaefrag", "torch", "numpy", "scikit-learn")
            facts = {
                "format": SPEC_FORMAT,
                "spec": spec.model_dump(mode="json"),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "versions": {name: version(name) for name in packages},
            }
            write_text(path, json.dumps(facts, indent=1, ensure_ascii=False))
        return self.record(ensemble_id)

    def add(self, posteriors: Posteriors, name: str) -> EnsembleRecord:
        """Take posteriors in that came from elsewhere. The same again are the same ensemble, under its first name.

        Args:
            posteriors: of all members on one sample.
            name: what the pages call them.

        Raises:
            InvalidInputError: when there is one image alone, which no channel can tell from another.
        """
        values = {
            "name": name,
            "dataset": {"name": IMPORTED, "path": posteriors.key},
            "model": {"channels": max(posteriors.channels_of_member)},
            "fingerprint": {"size": posteriors.n_images},
            "members": posteriors.n_members,
        }
        record = self.create(parse(EnsembleSpec, values))
        self.save_posteriors(record.id, posteriors)
        return record

    def record(self, ensemble_id: str) -> EnsembleRecord:
        """Read the record of an ensemble.

        Raises:
            MissingDataError: when the workspace has no such ensemble.
            BrokenFileError: when its spec cannot be read.
        """
        path = self.folder(ensemble_id) / "spec.json"
        if not path.is_file():
            known = ", ".join(self.ids()) or "none"
            raise MissingDataError(
                f"There is no ensemble {ensemble_id!r} in {self.workspace}. Ensembles there: {known}."
            )
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            spec = parse(EnsembleSpec, facts["spec"])
            return EnsembleRecord(ensemble_id, spec, facts["created"], facts["versions"])
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenFileError(
                f"{path}: expected a spec of format {SPEC_FORMAT}, got one that cannot be read ({error})."
            ) from error

    def ids(self) -> list[str]:
        """Give the ids of all ensembles, sorted."""
        return sorted(path.parent.name for path in self._ensembles.glob("*/spec.json"))

    def records(self) -> list[EnsembleRecord]:
        """Give the records that can be read, the newest first."""
        found = readable(self.ids(), self.record)
        return sorted(found, key=lambda record: (record.created, record.id), reverse=True)

    def folder(self, ensemble_id: str) -> Path:
        """Give the folder of an ensemble, whether it exists or not; the id is checked, as it comes from URLs."""
        if not _ID.fullmatch(ensemble_id):
            raise MissingDataError(f"There is no ensemble {ensemble_id!r}: that is not an ensemble's id.")
        return self._ensembles / ensemble_id

    def members_folder(self, ensemble_id: str) -> Path:
        """Give the folder that holds a folder per member, whether it exists or not."""
        return self.folder(ensemble_id) / "members"

    @contextmanager
    def lock(self, ensemble_id: str) -> Iterator[None]:
        """Keep every other process from training or analysing the same ensemble.

        Raises:
            BusyError: when one is already at it.
        """
        folder = self.folder(ensemble_id)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / ".lock", timeout=0):
                yield
        except Timeout:
            raise BusyError(
                f"Another process is working on ensemble {ensemble_id}. Wait for it, or stop it first."
            ) from None

    def save_posteriors(self, ensemble_id: str, posteriors: Posteriors) -> None:
        """Put the posteriors of an ensemble in place of earlier ones."""
        path = self.folder(ensemble_id) / "posteriors.npz"
        with replacing(path) as temporary:
            posteriors.save(temporary)

    def posteriors(self, ensemble_id: str) -> Posteriors:
        """Read the posteriors of an ensemble.

        Raises:
            MissingDataError: when its members have not been encoded yet.
        """
        path = self.folder(ensemble_id) / "posteriors.npz"
        if not path.is_file():
            self.record(ensemble_id)
            raise MissingDataError(
                f"Ensemble {ensemble_id} has no posteriors yet: no member of it is trained to its end. `vaefrag list`"
                " says how it stands; `vaefrag train` with the same settings goes on with it."
            )
        return Posteriors.load(path)

    def artifact(self, ensemble_id: str, kind: str, inputs: object, make: Callable[[Path], None]) -> Path:
        """Give the folder of a result, made only when it is not there.

        Args:
            ensemble_id: the ensemble.
            kind: what it is: "matrix", "hotspots", …
            inputs: JSON content that decides the result: its config, and the keys of what it is made from.
            make: writes the result into an empty folder.
        """
        return made_once(self.artifact_folder(ensemble_id, kind, inputs), make)

    def artifact_folder(self, ensemble_id: str, kind: str, inputs: object) -> Path:
        """Give the folder that a result has or would have."""
        return self.folder(ensemble_id) / "analysis" / f"{kind}-{content_key(inputs)}"

    def save_analysis_index(self, ensemble_id: str, index: AnalysisIndex) -> None:
        """Make an analysis the one that the pages show."""
        path = self.folder(ensemble_id) / "analysis" / "latest.json"
        write_text(path, index.model_dump_json(indent=1))

    def analysis_index(self, ensemble_id: str) -> AnalysisIndex:
        """Say where the results of the newest analysis lie.

        Raises:
            MissingDataError: when there was none.
            BrokenFileError: when its index cannot be read.
        """
        path = self.folder(ensemble_id) / "analysis" / "latest.json"
        if not path.is_file():
            self.record(ensemble_id)
            raise MissingDataError(
                f"Ensemble {ensemble_id} has not been analysed yet. Run `vaefrag analyze {ensemble_id}`."
            )
        try:
            return AnalysisIndex.model_validate_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BrokenFileError(f"{path} cannot be read. Run `vaefrag analyze {ensemble_id}`.") from error

    def analysis(self, ensemble_id: str) -> Analysis:
        """Read the newest analysis; nothing is computed, and large arrays stay on disk.

        Raises:
            MissingDataError: when there was none.
            BrokenFileError: when its files cannot be read.
        """
        index = self.analysis_index(ensemble_id)
        folder = self.folder(ensemble_id) / "analysis"
        try:
            return Analysis(
                config=index.config,
                posteriors_key=index.posteriors_key,
                matrix=ChannelMatrix.load(folder / index.matrix),
                hotspots={measure: Hotspots.load(folder / name) for measure, name in index.hotspots.items()},
                maps={measure: ChannelMap.load(folder / name) for measure, name in index.maps.items()},
                traversals=Traversals.load(folder / index.traversals) if index.traversals else None,
                stability={m: Stability.load(folder / index.stability / m) for m in index.hotspots}
                if index.stability
                else {},
                over_training=OverTraining.load(folder / index.over_training) if index.over_training else None,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BrokenFileError(
                f"The analysis of {ensemble_id} cannot be read ({error}). Delete the folder {folder} and run"
                f" `vaefrag analyze {ensemble_id}`."
            ) from error


def ensemble_id_of(spec: EnsembleSpec) -> str:
    """Name an ensemble: readable words first, then what makes it unique."""
    if spec.dataset.name == IMPORTED:
        return f"{IMPORTED}-{spec.key[:8]}"
    words = f"{spec.dataset.name}-{spec.train.objective}-{spec.train.beta:g}"
    slug = re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-.")
    return f"{slug}-{spec.key[:8]}"


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Give a folder that holds a result, made only when it is not there, and whole or not at all.

    Args:
        folder: its place; the name says what it was made from.
        make: writes the result into an empty folder.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name.split('-')[0]}-", dir=folder.parent))
        try:
            make(temporary)
            temporary.chmod(0o755)
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process may have finished the same result first
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def write_text(path: Path, text: str) -> None:
    """Put text in place of a file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def readable(ids: Iterable[str], read: Callable[[str], Read]) -> list[Read]:
    """Read what can be read: one that is damaged must not hide the others, and opening it by its id says what is wrong.

    Args:
        ids: of what there is; one that is deleted this moment is left out as well.
        read: raises BrokenFileError or MissingDataError.
    """
    found = []
    for one in ids:
        with suppress(BrokenFileError, MissingDataError):
            found.append(read(one))
    return found


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there takes its name when nothing failed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
