import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.config import DatasetConfig
from vaefrag_core.datasets.catalog import DatasetEntry, describe_datasets, load_dataset
from vaefrag_core.datasets.idx import FASHION_MNIST
from vaefrag_core.datasets.image_cache import cache_folder
from vaefrag_core.errors import InvalidInputError, MissingDataError

ARCHIVES = ["dsprites", "shapes3d", "cars3d", "smallnorb"]
NAMES = ["digits", "mnist", "fashion-mnist", "sprites", "sprites-32", "circle", *ARCHIVES, "images", "npz"]
OPEN = ["images", "npz"]  # to whatever their files hold


def entry(name: str) -> DatasetEntry:
    return next(entry for entry in describe_datasets() if entry.name == name)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OPEN])
def test_the_list_says_what_loading_gives(name: str) -> None:
    said = entry(name)
    if not said.available:
        pytest.skip(f"{name}: {said.location}")
    dataset = load_dataset(DatasetConfig(name=name))
    assert dataset.name == name
    assert (dataset.n_images, dataset.image_shape) == (said.n_images, said.image_shape)
    assert dataset.factor_names() == said.factors
    assert dataset.batch(np.array([0, dataset.n_images - 1])).max() > 0.5


def test_every_name_is_listed_once() -> None:
    assert [entry.name for entry in describe_datasets()] == NAMES


def test_what_is_not_here_says_where_it_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said = entry("mnist")
    assert not said.available
    assert str(cache_folder("mnist")) in said.location
    assert cache_folder("mnist").is_relative_to(tmp_path)


@pytest.mark.skipif(not FASHION_MNIST.folders[0].is_dir(), reason="dataset-fashion-mnist is not installed")
def test_what_the_system_has_is_available() -> None:
    said = entry("fashion-mnist")
    assert said.available
    assert said.location == str(FASHION_MNIST.folders[0])


@pytest.mark.parametrize(("asked", "meant"), [("minst", "mnist"), ("sprites32", "sprites-32"), ("digit", "digits")])
def test_an_unknown_name_gets_the_nearest(asked: str, meant: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        load_dataset(DatasetConfig(name=asked))
    assert str(caught.value) == (f"Expected a data set of {', '.join(NAMES)}, got {asked!r}. Did you mean {meant!r}?")


def test_a_name_like_none_gets_the_list_alone() -> None:
    with pytest.raises(InvalidInputError, match=rf"{NAMES[-1]}, got 'zzz'\.$"):
        load_dataset(DatasetConfig(name="zzz"))


@pytest.mark.parametrize("name", ["digits", "sprites", "sprites-32", "circle"])
def test_a_path_for_nothing_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'{name}' takes no path, got 'here'"):
        load_dataset(DatasetConfig(name=name, path="here"))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_a_path_is_handed_on(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=f"'{name}' needs .* {tmp_path} does not have both"):
        load_dataset(DatasetConfig(name=name, path=str(tmp_path)))


def test_the_list_needs_no_heavy_library() -> None:
    program = (
        "import sys; from vaefrag_core.datasets.catalog import describe_datasets; describe_datasets();"
        "print([name for name in ('sklearn', 'torch', 'scipy', 'umap') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
