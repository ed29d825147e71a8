"""The workspace: whole files, stable names, nothing lost by a crash."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.config import EnsembleSpec, TrainConfig
from vaefrag_core.ensemble_store import EnsembleStore, ensemble_id_of, write_text
from vaefrag_core.errors import BrokenFileError, BusyError, MissingDataError


def posteriors() -> Posteriors:
    rng = np.random.default_rng(0)
    return Posteriors(*rng.normal(size=(2, 2, 8, 3)))


def test_equal_specs_share_a_folder(workspace: EnsembleStore) -> None:
    first = workspace.create(EnsembleSpec(name="first"))
    again = workspace.create(EnsembleSpec(name="second"))
    assert first == again
    assert workspace.create(EnsembleSpec(members=3)).id != first.id
    assert len(workspace.ids()) == 2
    assert first.spec == EnsembleSpec(name="first")
    assert first.versions["torch"]


def test_an_id_is_readable() -> None:
    assert ensemble_id_of(EnsembleSpec(train=TrainConfig(beta=0.5))).startswith("digits-beta-vae-0.5-")


def test_an_unknown_ensemble_is_named_with_those_there_are(workspace: EnsembleStore) -> None:
    known = workspace.create(EnsembleSpec()).id
    with pytest.raises(MissingDataError, match=f"no ensemble 'other' .*Ensembles there: {known}"):
        workspace.record("other")


@pytest.mark.parametrize("name", ["../secret", "a/b", "", "Ä", ".hidden"])
def test_ids_cannot_leave_the_workspace(workspace: EnsembleStore, name: str) -> None:
    with pytest.raises(MissingDataError, match="not an ensemble's id"):
        workspace.folder(name)


def test_a_damaged_spec_hides_no_other(workspace: EnsembleStore) -> None:
    sound = workspace.create(EnsembleSpec())
    damaged = workspace.create(EnsembleSpec(members=2))
    (workspace.folder(damaged.id) / "spec.json").write_text("{")
    assert [record.id for record in workspace.records()] == [sound.id]
    with pytest.raises(BrokenFileError, match="expected a spec of format 1"):
        workspace.record(damaged.id)


def test_posteriors_come_back(workspace: EnsembleStore) -> None:
    record = workspace.create(EnsembleSpec())
    with pytest.raises(MissingDataError, match="has no posteriors yet"):
        workspace.posteriors(record.id)
    workspace.save_posteriors(record.id, posteriors())
    assert workspace.posteriors(record.id).key == posteriors().key


def test_a_result_is_made_once_and_found_by_its_inputs(workspace: EnsembleStore) -> None:
    record = workspace.create(EnsembleSpec())
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "result.txt").write_text("done")

    first = workspace.artifact(record.id, "matrix", {"a": 1}, make)
    assert workspace.artifact(record.id, "matrix", {"a": 1}, make) == first
    assert workspace.artifact(record.id, "matrix", {"a": 2}, make) != first
    assert len(made) == 2
    assert (first / "result.txt").read_text() == "done"


def test_a_result_whose_making_fails_leaves_nothing(workspace: EnsembleStore) -> None:
    record = workspace.create(EnsembleSpec())

    def fail(folder: Path) -> None:
        (folder / "half.npy").write_bytes(b"half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        workspace.artifact(record.id, "matrix", {}, fail)
    assert list((workspace.folder(record.id) / "analysis").iterdir()) == []


def test_two_that_make_the_same_result_end_with_one(workspace: EnsembleStore) -> None:
    record = workspace.create(EnsembleSpec())
    both = threading.Barrier(2)
    found: list[Path] = []

    def make(folder: Path) -> None:
        (folder / "result.txt").write_text("done")
        both.wait(timeout=10)

    threads = [
        threading.Thread(target=lambda: found.append(workspace.artifact(record.id, "map", {}, make))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert [p.name for p in found[0].parent.iterdir()] == [found[0].name]


def test_text_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "before")

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "after")
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_lock_keeps_others_out(workspace: EnsembleStore) -> None:
    record = workspace.create(EnsembleSpec())
    other = EnsembleStore(workspace.workspace)
    with workspace.lock(record.id), pytest.raises(BusyError, match="Another process is working"), other.lock(record.id):
        pass
    with other.lock(record.id):
        pass


def test_large_arrays_stay_on_disk(workspace: EnsembleStore, tmp_path: Path) -> None:
    matrix = ChannelMatrix(
        np.zeros((3, 2), dtype=int),
        np.ones(3),
        np.ones(3),
        np.eye(3),
        1 - np.eye(3),
        10,
        ("l",),
        np.ones(1),
        np.ones((3, 1)),
        np.ones((3, 1)),
    )
    matrix.save(tmp_path)
    loaded = ChannelMatrix.load(tmp_path)
    assert isinstance(loaded.nmi, np.memmap)
    np.testing.assert_array_equal(loaded.nmi, matrix.nmi)
    assert loaded.label_names == ("l",)
    assert loaded.n_images == 10
