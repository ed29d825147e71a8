import shutil
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.datasets import image_cache
from vaefrag_core.datasets.base import Factor
from vaefrag_core.datasets.image_cache import ImageNotes, ImageWriter, cached_images
from vaefrag_core.errors import MissingDataError

PICTURES = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)


def write(folder: Path) -> ImageNotes:
    with ImageWriter(folder, (2, 3), 100_000) as writer:
        writer.write(PICTURES[:1])
        writer.write(PICTURES[1:])
    factors = (Factor("a", np.array([0, 1, 0, 1]), ("x", "y")), Factor("b", np.array([0, 0, 0, 2]), ("p", "q", "r")))
    return ImageNotes(factors, ["Odd."], [("f", "read")])


def refuse(folder: Path) -> ImageNotes:
    raise AssertionError("it was made again")


def test_what_was_made_is_found_again_whole() -> None:
    cached_images("d", ["v", 1], write)
    cached = cached_images("d", ["v", 1], refuse)
    np.testing.assert_array_equal(cached.images, PICTURES)
    assert isinstance(cached.images, np.memmap)
    assert [factor.texts(np.array([3])).tolist() for factor in cached.notes.factors] == [["y"], ["r"]]
    assert (cached.notes.remarks, cached.notes.files) == (("Odd.",), (("f", "read"),))


def test_other_files_are_made_anew() -> None:
    cached_images("d", ["v", 1], write)
    with pytest.raises(AssertionError, match="made again"):
        cached_images("d", ["v", 2], refuse)


def test_what_fails_leaves_nothing(home_cache: Path) -> None:
    with pytest.raises(AssertionError):
        cached_images("d", 1, refuse)
    assert [entry for entry in (home_cache / "d").iterdir() if entry.is_dir()] == []
    cached_images("d", 1, write)


@pytest.mark.parametrize("name", ["images.npy", "codes.npy", "facts.json"])
def test_what_is_damaged_is_made_again(home_cache: Path, name: str) -> None:
    cached_images("d", 1, write)
    (file,) = home_cache.glob(f"d/*/{name}")
    file.write_bytes(file.read_bytes()[:20])
    np.testing.assert_array_equal(cached_images("d", 1, write).images, PICTURES)


@pytest.mark.parametrize("facts", ["[]", '{"factors": [1], "remarks": [], "files": []}', '{"factors": 3}'])
def test_notes_of_another_form_are_made_again(home_cache: Path, facts: str) -> None:
    cached_images("d", 1, write)
    (file,) = home_cache.glob("d/*/facts.json")
    file.write_text(facts)
    assert cached_images("d", 1, write).notes.remarks == ("Odd.",)


def test_a_full_disk_is_said_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(2**40, 2**40, 2**28))
    with pytest.raises(MissingDataError, match=r"need 0\.0 GiB in .*, where 0\.2 are free\. Make room"):
        cached_images("d", 1, write)


def test_a_cache_that_cannot_be_made_is_said(home_cache: Path) -> None:
    home_cache.parent.parent.mkdir()
    home_cache.parent.write_text("a file where a folder should be")
    with pytest.raises(MissingDataError, match=r"The images of 'd' cannot be unpacked into .*Not a directory"):
        cached_images("d", 1, write)
    assert image_cache.cache_folder("d").is_relative_to(home_cache)
