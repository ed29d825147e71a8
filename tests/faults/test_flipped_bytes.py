"""Eight flipped bytes in whatever is resumed from or analysed are told, and what can be made again is made again."""

from pathlib import Path

import numpy as np
import pytest

from support import Trained, loaded, same
from support_jobs import spec_of
from vaefrag.jobs import worker
from vaefrag_core import pipeline
from vaefrag_core.artifacts import mapped_npz
from vaefrag_core.artifacts.checksums import CHECKSUMS_FILE
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError
from vaefrag_core.training.checkpoints import checkpoint_path, load_checkpoint, save_checkpoint
from vaefrag_core.training.ensemble_training import train_ensemble, train_group


def flip(path: Path, place: int | None = None) -> None:
    """Change eight bytes of a file, by default in its middle."""
    content = bytearray(path.read_bytes())
    place = len(content) // 2 if place is None else place
    content[place : place + 8] = bytes(byte ^ 255 for byte in content[place : place + 8])
    path.unlink()  # not in place: arrays of other tests may be mapped from it
    path.write_bytes(content)


def test_bytes_flipped_anywhere_in_a_checkpoint_are_told(own: Trained) -> None:
    member = own.store.members_folder(own.id) / "0"
    whole = checkpoint_path(member).read_bytes()
    for place in np.linspace(0, len(whole) - 8, 25).astype(int).tolist():
        flip(checkpoint_path(member), place)
        with pytest.raises(BrokenFileError, match=r"checkpoint\.safetensors.*Delete it"):
            load_checkpoint(member)
        checkpoint_path(member).write_bytes(whole)
    assert load_checkpoint(member) is not None


def test_a_member_with_a_damaged_checkpoint_begins_anew_and_comes_out_the_same(tmp_path: Path) -> None:
    spec = spec_of(members=2, steps=50)
    train_ensemble(spec, tmp_path / "plain")
    train_ensemble(spec, tmp_path / "members")
    flip(checkpoint_path(tmp_path / "members" / "1"))
    ready, broken, remarks = worker._load_members(tmp_path / "members", [0, 1], save_checkpoint)
    assert ([ready[m].state for m in (0, 1)], broken, len(remarks)) == (["done", "running"], {}, 1)
    assert (tmp_path / "members" / "1" / "damaged.safetensors").is_file()
    train_group(spec, [1], tmp_path / "members")
    assert same(loaded(tmp_path / "members", 1), loaded(tmp_path / "plain", 1))


def test_mapped_posteriors_are_checked_and_encoded_again(own: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped_npz, "MAPPED_BYTES", 1)
    path = own.store.folder(own.id) / "posteriors.npz"
    key = own.store.posteriors(own.id).key
    flip(path, 4096)  # within the first array
    assert own.store.posteriors(own.id).key == key  # what is mapped is believed, until somebody reckons with it
    with pytest.raises(BrokenFileError, match="checksum"):
        own.store.posteriors(own.id, checked=True)
    assert pipeline.update_posteriors(own.id, own.store).key == key
    own.store.posteriors(own.id, checked=True)


def test_damaged_posteriors_of_another_program_are_told(own: Trained) -> None:
    imported = own.store.add(own.store.posteriors(own.id), "another").id
    flip(own.store.folder(imported) / "posteriors.npz")
    with pytest.raises(BrokenFileError, match="vaefrag import"):
        pipeline.analyze(imported, own.store)


@pytest.mark.parametrize("name", ["nmi.npy", "facts.json"])
def test_a_flipped_result_is_no_result(own: Trained, name: str) -> None:
    store = EnsembleStore(own.store.workspace)
    index = store.analysis_index(own.id)
    folder = store.folder(own.id) / "analysis" / (index.matrix if name == "nmi.npy" else index.hotspots["nmi"])
    flip(folder / name)
    with pytest.raises(BrokenFileError, match=f"Delete {folder} and run"):
        store.analysis(own.id)
    (folder / CHECKSUMS_FILE).unlink()
    if name == "nmi.npy":
        store.analysis(own.id)  # as of before there were checksums: read without complaint
