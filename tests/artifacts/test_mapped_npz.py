"""Large arrays of a posteriors file stay on disk: what is read, what is believed, and what others read of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors, mapped_npz
from vaefrag_core.artifacts.mapped_npz import StoredMap, map_npz, write_npz
from vaefrag_core.ensemble_store import EnsembleStore, replacing
from vaefrag_core.errors import BrokenFileError, InvalidInputError

Draw = Callable[[int], Posteriors]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Draw posteriors whose means, but not whose labels, count as large."""
    monkeypatch.setattr(mapped_npz, "MAPPED_BYTES", 1_000)

    def posteriors(seed: int) -> Posteriors:
        mean, logvar = np.random.default_rng(seed).normal(size=(2, 3, 50, 4)).astype(np.float32)
        images = np.random.default_rng(seed).integers(0, 256, (50, 5, 5), dtype=np.uint8)
        return Posteriors(mean, logvar, np.arange(50) % 7, images=images, sample_id="fifty", copy_of=np.arange(50))

    return posteriors


def test_large_arrays_are_mapped_and_the_rest_is_read(draw: Draw, tmp_path: Path) -> None:
    written = draw(0)
    written.save(tmp_path / "file.npz")
    loaded = Posteriors.load(tmp_path / "file.npz", mapped=True)
    assert all(isinstance(array, StoredMap) for array in (loaded.mean, loaded.logvar))
    assert loaded.images is not None
    assert isinstance(loaded.images.base, StoredMap)
    assert not isinstance(loaded.labels, np.memmap)
    for name in ("mean", "logvar", "labels", "images", "copy_of"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(written, name))
    assert loaded.key == written.key == Posteriors.load(tmp_path / "file.npz").key
    with pytest.raises(ValueError, match="read-only"):
        loaded.mean[0][0, 0] = 1


def test_any_numpy_reads_the_file_and_its_arrays_lie_as_arrays_in_memory_do(draw: Draw, tmp_path: Path) -> None:
    written = draw(0)
    written.save(tmp_path / "file.npz")
    with np.load(tmp_path / "file.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["mean"], written.mean)
        assert str(file["sample_id"]) == "fifty"
    loaded = Posteriors.load(tmp_path / "file.npz", mapped=True)
    assert [np.asarray(array).ctypes.data % 64 for array in (loaded.mean, loaded.logvar)] == [0, 0]


def test_files_of_numpy_are_mapped_too_but_not_what_is_compressed(draw: Draw, tmp_path: Path) -> None:
    arrays = {"large": np.arange(600, dtype=np.float64).reshape(2, 300), "small": np.arange(3)}
    arrays["columns"] = np.asfortranarray(arrays["large"] + 0.5)
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez_compressed(tmp_path / "packed.npz", **arrays)
    with (tmp_path / "plain.npz").open("rb") as plain, (tmp_path / "packed.npz").open("rb") as packed:
        mapped = map_npz(plain)
        assert map_npz(packed) == {}
    assert set(mapped) == {"large", "columns"}
    for name, array in mapped.items():
        np.testing.assert_array_equal(array, arrays[name])


def test_opening_the_file_of_a_workspace_reads_no_posterior(draw: Draw, tmp_path: Path) -> None:
    store = EnsembleStore(tmp_path)
    record = store.add(draw(0), "drawn")
    path = store.folder(record.id) / "posteriors.npz"
    content = path.read_bytes()
    at = content.index(np.ascontiguousarray(draw(0).mean[1]).tobytes())
    path.write_bytes(content[:at] + np.float32(np.nan).tobytes() + content[at + 4 :])
    opened = store.posteriors(record.id)  # a reading of its numbers would find the one that is none
    assert np.isnan(opened.mean[1][0, 0])
    assert opened.key == draw(0).key
    with pytest.raises((BrokenFileError, InvalidInputError)):
        Posteriors.load(path)


def test_members_taken_out_of_a_mapped_file_have_a_key_of_their_own(draw: Draw, tmp_path: Path) -> None:
    whole = draw(0)
    whole.save(tmp_path / "file.npz")
    loaded = Posteriors.load(tmp_path / "file.npz", mapped=True)
    some = Posteriors(tuple(loaded.mean[:2]), tuple(loaded.logvar[:2]), loaded.labels, sample_id="fifty")
    plain = Posteriors(np.array(whole.mean[:2]), np.array(whole.logvar[:2]), whole.labels, sample_id="fifty")
    assert some.key == plain.key != whole.key


def test_what_is_open_stays_what_it_was_when_the_file_is_replaced(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    draw(0).save(path)
    before = Posteriors.load(path, mapped=True)
    with replacing(path) as temporary:
        draw(1).save(temporary)
    np.testing.assert_array_equal(before.mean, draw(0).mean)
    np.testing.assert_array_equal(Posteriors.load(path, mapped=True).mean, draw(1).mean)


@pytest.mark.parametrize("share", [0.3, 0.95])
def test_a_file_that_is_cut_off_is_refused_rather_than_mapped(draw: Draw, tmp_path: Path, share: float) -> None:
    path = tmp_path / "file.npz"
    draw(0).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(BrokenFileError, match=r"expected a whole \.npz file"):
        Posteriors.load(path, mapped=True)


def test_objects_are_not_written(tmp_path: Path) -> None:
    with (tmp_path / "file.npz").open("wb") as file, pytest.raises(ValueError, match="allow_pickle=False"):
        write_npz(file, {"objects": np.array([{}])})
