"""The workspace: whole files, stable names, nothing lost by a crash."""

import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.config import EnsembleSpec, ModelConfig, TrainConfig
from vaefrag_core.ensemble_record import ImportedSource, TrainedSource
from vaefrag_core.ensemble_store import EnsembleStore, ensemble_id_of, make_private_folder, write_text
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
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "result.txt").write_text("done")

    first = workspace.artifact(record.id, "matrix", {"a": 1}, make)
    assert workspace.artifact(record.id, "matrix", {"a": 1}, make) == first
    assert workspace.artifact(record.id, "matrix", {"a": 2}, make) != first
    assert len(calls) == 2
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
    folders: list[Path] = []

    def make(folder: Path) -> None:
        (folder / "result.txt").write_text("done")
        both.wait(timeout=10)

    threads = [
        threading.Thread(target=lambda: folders.append(workspace.artifact(record.id, "map", {}, make)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders[0] == folders[1]
    assert [p.name for p in folders[0].parent.iterdir()] == [folders[0].name]


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


# As version 0.1.0 wrote it for posteriors that were imported, field by field.
IMPORTED_BY_0_1 = """{
 "format": 1,
 "spec": {
  "name": "My encoders",
  "dataset": {"name": "imported", "path": "3e8621172bd1", "image_size": null},
  "model": {
   "architecture": "mlp", "network": null, "widths": [128, 128], "activation": "relu", "channels": 3,
   "likelihood": "bernoulli", "pixel_variance": 0.05
  },
  "train": {
   "objective": "beta-vae", "beta": 1.0, "gamma": 1000.0, "capacity_nats": 25.0, "capacity_steps": 100000,
   "gamma_tc": 10.0, "discriminator_widths": [256, 256, 256], "discriminator_learning_rate": 0.0001,
   "lambda_od": 10.0, "lambda_d": 100.0, "steps": 5000, "batch_size": 64, "learning_rate": 0.001,
   "clip_gradient": null, "precision": "float32", "seed": 0, "snapshots": 0
  },
  "fingerprint": {"size": 4, "seed": 0},
  "members": 2
 },
 "created": "2026-11-28T13:40:13+00:00",
 "versions": {"vaefrag": "0.1.0", "torch": "2.13.0+cpu", "numpy": "2.4.6", "scikit-learn": "1.9.1"}
}"""


def test_an_ensemble_that_an_earlier_version_imported_opens_and_is_the_same_when_imported_again(
    workspace: EnsembleStore,
) -> None:
    theirs = Posteriors(np.arange(24.0).reshape(2, 4, 3), np.zeros((2, 4, 3)))
    path = workspace.folder("imported-0bebdea8") / "spec.json"
    path.parent.mkdir(parents=True)
    path.write_text(IMPORTED_BY_0_1)
    record = workspace.record("imported-0bebdea8")
    assert record.source == ImportedSource(name="My encoders", posteriors_key="3e8621172bd1", members=2, images=4)
    assert (record.name, record.created) == ("My encoders", "2026-11-28T13:40:13+00:00")
    again = workspace.add(theirs, "another name")
    assert again == record
    assert workspace.ids() == ["imported-0bebdea8"]
    assert path.read_text() == IMPORTED_BY_0_1
    assert workspace.posteriors(record.id).key == theirs.key


def test_what_is_imported_is_written_as_that_and_read_back(workspace: EnsembleStore) -> None:
    record = workspace.add(posteriors(), " mine ")
    assert record.id == f"imported-{posteriors().key[:8]}"
    assert record.source == ImportedSource(name="mine", posteriors_key=posteriors().key, members=2, images=8)
    assert EnsembleStore(workspace.workspace).record(record.id) == record
    facts = json.loads((workspace.folder(record.id) / "spec.json").read_text())
    assert facts["format"] == 2
    assert "spec" not in facts
    with pytest.raises(MissingDataError, match=r"^mine was imported: nothing is known of how it was trained\.$"):
        _ = record.spec


def test_a_trained_ensemble_is_stored_as_ever(workspace: EnsembleStore) -> None:
    spec = EnsembleSpec(members=3)
    record = workspace.create(spec)
    facts = json.loads((workspace.folder(record.id) / "spec.json").read_text())
    assert (facts["format"], facts["spec"]["members"], facts["spec"]["train"]["beta"]) == (1, 3, 1.0)
    assert record.source == TrainedSource(spec=spec)


def trained_with(**train: object) -> EnsembleSpec:
    return EnsembleSpec(train=TrainConfig(**train))  # type: ignore[arg-type]


def test_equal_specs_have_one_id_whatever_settings_they_do_not_read() -> None:
    annealed = [trained_with(objective="annealed-vae", beta=beta) for beta in (1, 2)]
    assert annealed[0].key == annealed[1].key
    assert ensemble_id_of(annealed[0]) == ensemble_id_of(annealed[1])
    assert ensemble_id_of(annealed[0]).startswith("digits-annealed-vae-1000-")
    assert ensemble_id_of(trained_with(objective="factor-vae", gamma_tc=35)).startswith("digits-factor-vae-35-")
    sharp = [EnsembleSpec(model=ModelConfig(pixel_variance=variance)) for variance in (0.05, 0.3)]
    assert ensemble_id_of(sharp[0]) == ensemble_id_of(sharp[1]) == "digits-beta-vae-1-395269cd"
    read = [EnsembleSpec(model=ModelConfig(likelihood="gaussian", pixel_variance=v)).key for v in (0.05, 0.3)]
    assert read[0] != read[1]
    wide = [EnsembleSpec(model=ModelConfig(architecture="conv28", widths=widths)).key for widths in ((8,), (9,))]
    assert wide[0] == wide[1]


def test_large_and_small_coefficients_read_differently_in_an_id() -> None:
    large, small = (ensemble_id_of(trained_with(beta=beta)) for beta in (1e6, 1e-6))
    assert large.startswith("digits-beta-vae-1000000-")
    assert small.startswith("digits-beta-vae-0.000001-")


@pytest.mark.parametrize(
    ("folder", "spec"),
    [  # the folders that version 0.1.0 made of these specs
        ("digits-annealed-vae-2-9ca88523", trained_with(objective="annealed-vae", beta=2)),
        ("digits-annealed-vae-1-9ca88523", trained_with(objective="annealed-vae", beta=2)),
        ("digits-factor-vae-1-9307aed9", trained_with(objective="factor-vae")),
        ("digits-beta-vae-1e-06-65644c5a", trained_with(beta=1e6)),
        ("digits-beta-vae-1e-06-5d26f1fe", trained_with(beta=1e-6)),
        ("digits-beta-vae-1-395269cd", EnsembleSpec()),
        ("digits-beta-vae-1-0294f396", EnsembleSpec(model=ModelConfig(pixel_variance=0.3))),
    ],
)
def test_the_folder_that_an_earlier_version_made_of_a_spec_is_found(
    workspace: EnsembleStore, folder: str, spec: EnsembleSpec
) -> None:
    facts = {"format": 1, "spec": spec.model_dump(mode="json"), "created": "2026-11-28T13:40:13+00:00", "versions": {}}
    write_text(workspace.folder(folder) / "spec.json", json.dumps(facts))
    assert workspace.id_of(spec) == folder
    assert workspace.create(spec).id == folder
    assert workspace.ids() == [folder]


def test_of_two_folders_of_one_spec_the_one_that_was_asked_for_in_these_words_is_found(
    workspace: EnsembleStore,
) -> None:
    for beta in (1, 2):
        spec = trained_with(objective="annealed-vae", beta=beta)
        facts = {"format": 1, "spec": spec.model_dump(mode="json"), "created": "", "versions": {}}
        write_text(workspace.folder(f"digits-annealed-vae-{beta}-9ca88523") / "spec.json", json.dumps(facts))
    for beta, expected in ((1, 1), (2, 2), (3, 1)):
        spec = trained_with(objective="annealed-vae", beta=beta)
        assert workspace.id_of(spec) == f"digits-annealed-vae-{expected}-9ca88523"


def test_what_is_made_is_for_this_user_alone_and_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    opened.mkdir(mode=0o755)
    for workspace in (tmp_path / "above" / "new", opened):
        write_text(workspace / "ensembles" / "one" / "note.txt", "a note")
        make_private_folder(workspace / "jobs")
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    modes = {path.relative_to(tmp_path): stat.S_IMODE(path.stat().st_mode) for path in folders}
    assert modes.pop(Path("opened")) == 0o755
    assert len(modes) == 8
    assert set(modes.values()) == {0o700}
