"""A folder per ensemble, a file per artifact, written whole or not at all.

    <workspace>/ensembles/<id>/
        spec.json                 what its members are trained by or where they were imported from, and the versions
        members/<index>/          checkpoint.safetensors: weights, optimizer, history
        posteriors.npz            the fingerprint of all members
        analysis/<kind>-<key>/    one result; the key is a hash of what it was made from
        analysis/latest.json      which results the pages show
        fusions/<id>/             spaces fused from its channels: fusion_store.py

Nothing here is ever unpickled, and nothing is changed in place: a new file takes the old one's name.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from vaefrag_core.analysis_index import AnalysisIndex as AnalysisIndex
from vaefrag_core.artifacts import (
    Analysis,
    ChannelMap,
    ChannelMatrix,
    Hotspots,
    NmiInside,
    NullTests,
    OverTraining,
    Posteriors,
    Stability,
    Traversals,
)
from vaefrag_core.artifacts.checksums import write_checksums
from vaefrag_core.artifacts.files import recomputed_by
from vaefrag_core.artifacts.mapped_npz import check_npz
from vaefrag_core.artifacts.zip_limits import read_json
from vaefrag_core.config import EnsembleSpec, Measure, content_key
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_record import (
    IMPORTED,
    KEY_DIGITS,
    ImportedSource,
    TrainedSource,
    earlier_ids_of,
    record_to_text,
    source_from_json,
)
from vaefrag_core.ensemble_record import EnsembleRecord as EnsembleRecord
from vaefrag_core.ensemble_record import ensemble_id_of as ensemble_id_of
from vaefrag_core.errors import BrokenFileError, BusyError, InvalidInputError, MissingDataError

Content = TypeVar("Content")

_ID = re.compile(r"[a-z0-9][a-z0-9.\-]{0,99}")


class EnsembleStore:
    """The ensembles of one workspace.

    Args:
        workspace: a folder; made when something is first written to it.
    """

    def __init__(self, workspace: str | Path) -> None:
        self.workspace = Path(workspace)
        self._ensembles = self.workspace / "ensembles"

    def create(self, spec: EnsembleSpec, ensemble_id: str | None = None) -> EnsembleRecord:
        """Return the ensemble of a spec, new or as it stands: equal specs are the same ensemble.

        The first name stands, and the last identifiers.

        Args:
            spec: what its members are trained by.
            ensemble_id: its id, where a job, maybe of older identifiers, has named it already; by default `id_of`.
        """
        self._write_record(ensemble_id or self.id_of(spec), TrainedSource(spec=spec))
        record, identifiers = self.record(ensemble_id or self.id_of(spec)), spec.dataset.identifiers
        if ensemble_id is None and identifiers != record.spec.dataset.identifiers:
            record = record.with_identifiers(identifiers)
            content = record_to_text(record.source, record.created, record.versions)
            write_text(self.folder(record.id) / "spec.json", content)
        return record

    def id_of(self, spec: EnsembleSpec) -> str:
        """Return the id of the ensemble of a spec: that of its folder, whichever version named it, or a new one."""
        earlier = [key for key in earlier_ids_of(spec) if (self._ensembles / key / "spec.json").is_file()]
        if earlier:
            return earlier[0]
        # Versions that wrote other words before the key have left folders that differ in nothing else.
        same_key = sorted(self._ensembles.glob(f"*-{spec.key[:KEY_DIGITS]}/spec.json"))
        return same_key[0].parent.name if same_key else ensemble_id_of(spec)

    def add(self, posteriors: Posteriors, name: str) -> EnsembleRecord:
        """Store posteriors that another program has made. The same again are the same ensemble, by its first name.

        Args:
            posteriors: of all members on one sample.
            name: what the pages call them.

        Raises:
            InvalidInputError: when there is one image alone, which no channel can tell from another.
        """
        counts = {"members": posteriors.n_members, "images": posteriors.n_images}
        source = parse(ImportedSource, {"name": name, "posteriors_key": posteriors.key, **counts})  # before any writing
        ensemble_id = self._imported_id(source.posteriors_key)
        is_new = not self.folder(ensemble_id).exists()
        try:
            self.save_posteriors(ensemble_id, posteriors)
            self._write_record(ensemble_id, source)  # last: with it the folder becomes an ensemble
        except BaseException:
            if is_new:
                shutil.rmtree(self.folder(ensemble_id), ignore_errors=True)
            raise
        return self.record(ensemble_id)

    def _imported_id(self, posteriors_key: str) -> str:
        """Return the id of imported posteriors: that of their folder, whichever version named it, or a new one."""
        for record in read_undamaged((key for key in self.ids() if key.startswith(f"{IMPORTED}-")), self.record):
            if isinstance(record.source, ImportedSource) and record.source.posteriors_key == posteriors_key:
                return record.id
        return f"{IMPORTED}-{posteriors_key[:KEY_DIGITS]}"

    def _write_record(self, ensemble_id: str, source: TrainedSource | ImportedSource) -> None:
        """Write spec.json, unless there is one: the first name stands."""
        path = self.folder(ensemble_id) / "spec.json"
        # Of two processes that get here at once the later one's name stays; their specs are equal.
        if not path.exists():
            created = datetime.now(UTC).isoformat(timespec="seconds")
            packages = ("vaefrag", "torch", "numpy", "scikit-learn")
            write_text(path, record_to_text(source, created, {name: version(name) for name in packages}))

    def record(self, ensemble_id: str) -> EnsembleRecord:
        """Read the record of an ensemble.

        Raises:
            MissingDataError: when the workspace has no such ensemble.
            BrokenFileError: when its spec cannot be read.
        """
        path = self.folder(ensemble_id) / "spec.json"
        if not path.is_file():
            ids = ", ".join(self.ids()) or "none"
            raise MissingDataError(f"There is no ensemble {ensemble_id!r} in {self.workspace}. Ensembles there: {ids}.")
        try:
            facts = read_json(path)
            return EnsembleRecord(ensemble_id, source_from_json(facts), facts["created"], facts["versions"])
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenFileError(
                f"{path}: expected a spec of format 1 or 2, got one that cannot be read ({error}). Delete this file and"
                " repeat the `vaefrag train` or `vaefrag import` that made the ensemble."
            ) from error

    def ids(self) -> list[str]:
        """Return the ids of all ensembles, sorted."""
        return sorted(path.parent.name for path in self._ensembles.glob("*/spec.json"))

    def records(self) -> list[EnsembleRecord]:
        """Return the records that can be read, the newest first."""
        records = read_undamaged(self.ids(), self.record)
        return sorted(records, key=lambda record: (record.created, record.id), reverse=True)

    def folder(self, ensemble_id: str) -> Path:
        """Return the folder of an ensemble, whether it exists or not; the id is checked, as it comes from URLs."""
        if not _ID.fullmatch(ensemble_id):
            raise MissingDataError(f"There is no ensemble {ensemble_id!r}: that is not an ensemble's id.")
        return self._ensembles / ensemble_id

    def members_folder(self, ensemble_id: str) -> Path:
        """Return the folder that holds a folder per member, whether it exists or not."""
        return self.folder(ensemble_id) / "members"

    @contextmanager
    def lock(self, ensemble_id: str) -> Iterator[None]:
        """Keep every other process from training or analysing the same ensemble.

        Raises:
            BusyError: when one is already at it.
        """
        folder = self.folder(ensemble_id)
        make_private_folder(folder)
        try:
            # Not waited for: who holds it may train for hours. The system frees it when its process dies.
            with FileLock(folder / ".lock", timeout=0):
                yield
        except Timeout:
            raise BusyError(
                f"Another process is working on ensemble {ensemble_id}. Wait for it, or stop it first."
            ) from None

    def save_posteriors(self, ensemble_id: str, posteriors: Posteriors) -> None:
        """Replace the posteriors of an ensemble, whole or not at all."""
        path = self.folder(ensemble_id) / "posteriors.npz"
        with replacing(path) as temporary:
            posteriors.save(temporary)

    def posteriors(self, ensemble_id: str, *, checked: bool = False) -> Posteriors:
        """Read the posteriors of an ensemble; large arrays stay on disk, memory-mapped.

        Args:
            ensemble_id: the ensemble.
            checked: whether mapped arrays are compared with their checksums, for which the whole file is read.

        Raises:
            MissingDataError: when its members have not been encoded yet.
            BrokenFileError: when they cannot be read.
        """
        path = self.folder(ensemble_id) / "posteriors.npz"
        if not path.is_file():
            self.record(ensemble_id)
            raise MissingDataError(
                f"Ensemble {ensemble_id} has no posteriors yet: no member of it is trained to its end. `vaefrag list`"
                " says how it stands; `vaefrag train` with the same settings goes on with it."
            )
        try:
            if checked:
                check_npz(path)
            return Posteriors.load(path, mapped=True)
        except (BrokenFileError, InvalidInputError) as error:
            remedy = self.record(ensemble_id).source.remedy
            raise BrokenFileError(f"{path} cannot be read ({str(error).rstrip('.')}). {remedy}") from error

    def artifact(self, ensemble_id: str, kind: str, inputs: object, compute: Callable[[Path], None]) -> Path:
        """Return the folder of a result, computed only when it is not there.

        Args:
            ensemble_id: the ensemble.
            kind: what it is: "matrix", "hotspots", …
            inputs: JSON content that decides the result: its config, and the keys of what it is computed from.
            compute: writes the result into an empty folder.
        """
        return write_once(self.artifact_folder(ensemble_id, kind, inputs), compute)

    def artifact_folder(self, ensemble_id: str, kind: str, inputs: object) -> Path:
        """Return the folder that a result has or would have."""
        return self.folder(ensemble_id) / "analysis" / f"{kind}-{content_key(inputs)}"

    def load_artifact(
        self, ensemble_id: str, load: Callable[[Path], Content], folder: Path, *, options: str = ""
    ) -> Content:
        """Read a result of an analysis.

        Args:
            ensemble_id: the ensemble.
            load: reads it from its folder.
            folder: of the result.
            options: of the `vaefrag analyze` that computes it.

        Raises:
            BrokenFileError: when it cannot be read, saying what to delete and which command computes it again.
        """
        with recomputed_by(" ".join(f"vaefrag analyze {ensemble_id} {options}".split()), folder):
            return load(folder)

    def save_analysis_index(self, ensemble_id: str, index: AnalysisIndex) -> None:
        """Make an analysis the one that the pages show."""
        path = self.folder(ensemble_id) / "analysis" / "latest.json"
        write_text(path, index.model_dump_json(indent=1))

    def analysis_index(self, ensemble_id: str) -> AnalysisIndex:
        """Return where the results of the newest analysis lie.

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

        def load(read: Callable[[Path], Content], name: str) -> Content:
            return self.load_artifact(ensemble_id, read, self.folder(ensemble_id) / "analysis" / name)

        def load_stability(folder: Path) -> dict[Measure, Stability]:
            return {measure: Stability.load(folder / measure) for measure in index.hotspots}

        def load_null_tests() -> dict[Measure, NullTests]:
            tests = {}
            for measure, name in index.null_tests.items():
                folder = self.folder(ensemble_id) / "analysis" / name
                if folder.is_dir():  # a damaged one may have been deleted, as its message asks
                    with recomputed_by(f"vaefrag null {ensemble_id}", folder):
                        tests[measure] = NullTests.load(folder)
            return tests

        hotspots = {measure: load(Hotspots.load, name) for measure, name in index.hotspots.items()}
        if index.inside is not None:
            measure = index.config.hotspots.measure
            hotspots[measure] = replace(hotspots[measure], inside=load(NmiInside.load, index.inside))
        return Analysis(
            config=index.config,
            posteriors_key=index.posteriors_key,
            matrix=load(ChannelMatrix.load, index.matrix),
            hotspots=hotspots,
            maps={measure: load(ChannelMap.load, name) for measure, name in index.maps.items()},
            traversals=load(Traversals.load, index.traversals) if index.traversals else None,
            stability=load(load_stability, index.stability) if index.stability else {},
            over_training=load(OverTraining.load, index.over_training) if index.over_training else None,
            null_tests=load_null_tests(),
        )


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone; what is there keeps its mode.

    Who opens a workspace to a group does so by the mode of its folders, which decides for all that lies in them.
    """
    for missing in reversed([folder, *folder.parents]):
        if not missing.is_dir():
            missing.mkdir(mode=0o700, exist_ok=True)


def write_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Return a folder that holds a result, written only when it is not there, and whole or not at all.

    Args:
        folder: of the result; its name says what it was computed from.
        write: writes the result into an empty folder.
    """
    if not folder.is_dir():
        make_private_folder(folder.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name.split('-')[0]}-", dir=folder.parent))
        try:
            write(temporary)
            write_checksums(temporary)
            temporary.chmod(0o755)  # mkdtemp's 0o700 would hide it from a web process of another user
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process may have finished the same result first
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def write_text(path: Path, text: str) -> None:
    """Replace the content of a file by text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_undamaged(ids: Iterable[str], read: Callable[[str], Content]) -> list[Content]:
    """Read what can be read: a damaged file hides no other, and opening it by its id says what is wrong.

    Args:
        ids: what to read; one that is deleted this moment is left out as well.
        read: raises BrokenFileError or MissingDataError.
    """
    contents = []
    for key in ids:
        with suppress(BrokenFileError, MissingDataError):
            contents.append(read(key))
    return contents


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there takes its name when nothing failed."""
    make_private_folder(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # before the rename: else a crash may leave the name on an empty file
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
