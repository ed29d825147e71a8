"""Small files in the very formats of the archives, read from folders laid out as theirs."""

import gzip
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from vaefrag_core.config import DatasetConfig
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.cars3d import cars3d
from vaefrag_core.datasets.catalog import dataset_size, describe_datasets, load_dataset
from vaefrag_core.datasets.dsprites import FILE as DSPRITES_FILE
from vaefrag_core.datasets.dsprites import dsprites
from vaefrag_core.datasets.image_cache import cache_folder
from vaefrag_core.datasets.shapes3d import FILE as SHAPES3D_FILE
from vaefrag_core.datasets.shapes3d import shapes3d
from vaefrag_core.datasets.smallnorb import SPLITS, smallnorb
from vaefrag_core.errors import BrokenFileError, MissingDataError, VaefragError

RNG = np.random.default_rng(11)


class Trap:
    """What a pickle could do."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return sys.exit, ("unpickled",)


def put_dsprites(folder: Path) -> np.ndarray:
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (1, 3, 2, 4, 2, 2)), indexing="ij"), axis=-1).reshape(-1, 6)
    images = RNG.integers(0, 2, (len(grid), 64, 64), dtype=np.uint8)
    values = grid.astype(float)
    values[:, 0] = 1
    values[:, 1] = grid[:, 1] + 1
    values[:, 2] = 0.5 + grid[:, 2] / 2
    values[:, 3] = grid[:, 3] * np.pi / 2
    values[:, 4:] = grid[:, 4:] / 31
    trap = np.array([Trap()], dtype=object)
    np.savez_compressed(folder / DSPRITES_FILE, imgs=images, latents_values=values, latents_classes=grid, metadata=trap)
    return images


def put_shapes3d(folder: Path) -> np.ndarray:
    h5py = pytest.importorskip("h5py", reason="the extra h5 is not installed")
    images = RNG.integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
    labels = np.stack([np.arange(30) % 10 / 10, *([np.arange(30) % 3 / 10] * 3), np.arange(30) % 4, np.arange(30) // 2])
    with h5py.File(folder / SHAPES3D_FILE, "w") as file:
        file.create_dataset("images", data=images, compression="gzip")
        file.create_dataset("labels", data=labels.T.astype(np.float64))
    return images


def put_cars(folder: Path, names: tuple[str, ...] = ("car_001_mesh", "car_002_mesh")) -> np.ndarray:
    (folder / "data" / "cars").mkdir(parents=True)
    images = RNG.integers(0, 256, (len(names), 16, 16, 3, 24, 4), dtype=np.uint8)
    for name, image in zip(names, images, strict=True):
        savemat(folder / "data" / "cars" / f"{name}.mat", {"im": image}, do_compression=True)
    return images


def matrix(array: np.ndarray) -> bytes:
    magic = 0x1E3D4C55 if array.dtype == np.uint8 else 0x1E3D4C54
    lengths = [*array.shape, *[1] * (3 - array.ndim)]
    return struct.pack(f"<II{len(lengths)}I", magic, array.ndim, *lengths) + array.tobytes()


def put_norb(folder: Path, *, splits: int = 2, packed: bool = False) -> np.ndarray:
    pictures = RNG.integers(0, 256, (splits, 6, 2, 96, 96), dtype=np.uint8)
    for split, pairs, instance in zip(SPLITS[:splits], pictures, (4, 0), strict=False):
        cat = np.arange(6, dtype="<i4") % 5
        info = np.stack([np.full(6, instance), np.arange(6) % 9, np.arange(6) * 2, np.arange(6) % 3], axis=1)
        for kind, array in (("dat", pairs), ("cat", cat), ("info", info.astype("<i4"))):
            data = matrix(array)
            name = f"{split}-{kind}.mat"
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    return pictures


def texts(dataset: ImageDataset, name: str) -> list[str]:
    factor = next(factor for factor in dataset.factors if factor.name == name)
    return factor.texts(np.arange(dataset.n_images)).tolist()


@pytest.mark.parametrize("path_of", ["folder", "file"])
def test_dsprites(tmp_path: Path, path_of: str) -> None:
    images = put_dsprites(tmp_path)
    dataset = dsprites(tmp_path if path_of == "folder" else tmp_path / DSPRITES_FILE)
    np.testing.assert_array_equal(dataset.images[np.arange(len(images))], images * 255)
    assert isinstance(dataset.images, np.memmap)
    assert dataset.factor_names() == ("shape", "scale", "orientation", "x", "y")
    assert texts(dataset, "shape") == ["square"] * 32 + ["ellipse"] * 32 + ["heart"] * 32
    assert texts(dataset, "scale")[:32] == ["0.5"] * 16 + ["1"] * 16
    assert texts(dataset, "orientation")[:16] == ["0.0°"] * 4 + ["90.0°"] * 4 + ["180.0°"] * 4 + ["270.0°"] * 4
    assert texts(dataset, "y")[:3] == ["0", "0.0323", "0"]


def test_shapes3d(tmp_path: Path) -> None:
    images = put_shapes3d(tmp_path)
    dataset = shapes3d(tmp_path)
    np.testing.assert_array_equal(dataset.images[np.arange(30)], images)
    assert dataset.factor_names() == ("floor hue", "wall hue", "object hue", "scale", "shape", "orientation")
    assert texts(dataset, "floor hue")[:4] == ["0", "0.1", "0.2", "0.3"]
    assert texts(dataset, "shape")[:5] == ["0", "1", "2", "3", "0"]
    assert texts(dataset, "orientation")[:3] == ["0", "0", "1"]


@pytest.mark.parametrize("place", ["", "data", "data/cars"])
def test_cars3d(tmp_path: Path, place: str) -> None:
    cars = put_cars(tmp_path)
    cars[0, ..., 5, 2] = [10, 20, 30]  # one view in a colour of its own
    savemat(tmp_path / "data" / "cars" / "car_001_mesh.mat", {"im": cars[0]})
    dataset = cars3d(tmp_path / place)
    assert (dataset.n_images, dataset.image_shape) == (2 * 96, (64, 64, 3))
    assert dataset.factor_names() == ("elevation", "azimuth", "object")
    plain = np.flatnonzero((dataset.images[np.arange(192)] == [10, 20, 30]).all(axis=(1, 2, 3)))
    assert plain.tolist() == [5 * 4 + 2]
    (view,) = plain
    named = (texts(dataset, name)[view] for name in dataset.factor_names())
    assert tuple(named) == ("2", "75°", "car_001_mesh")
    assert [factor.codes.max() + 1 for factor in dataset.factors] == [4, 24, 2]


@pytest.mark.parametrize("packed", [False, True])
def test_smallnorb(tmp_path: Path, packed: bool) -> None:
    pictures = put_norb(tmp_path, packed=packed)
    pictures[1, 3, 0] = 77  # one picture of one grey level: scaling cannot change it
    (tmp_path / f"{SPLITS[1]}-dat.mat.gz").unlink(missing_ok=True)
    (tmp_path / f"{SPLITS[1]}-dat.mat").write_bytes(matrix(pictures[1]))
    dataset = smallnorb(tmp_path)
    assert (dataset.n_images, dataset.image_shape) == (12, (64, 64, 1))
    assert (dataset.images[np.array([9])] == 77).all()
    assert texts(dataset, "category")[:6] == ["animal", "human", "airplane", "truck", "car", "animal"]
    assert texts(dataset, "instance") == ["4"] * 6 + ["0"] * 6
    assert texts(dataset, "elevation")[9] == "45°"
    assert texts(dataset, "azimuth")[9] == "60°"
    assert texts(dataset, "lighting")[9] == "0"


def test_smallnorb_without_its_testing_split_says_so(tmp_path: Path) -> None:
    put_norb(tmp_path, splits=1)
    dataset = smallnorb(tmp_path)
    assert dataset.n_images == 6
    assert dataset.remarks == ("The testing split is not there: its instances of toys are missing.",)


def test_smallnorb_may_have_as_many_pictures_as_the_published_one(tmp_path: Path) -> None:
    count = 1_500  # 24,300 in each published split
    info = np.stack([np.arange(count) % 10, np.arange(count) % 9, np.zeros(count), np.zeros(count)], axis=1)
    pictures = np.broadcast_to(
        np.arange(count, dtype=np.uint16).astype(np.uint8)[:, None, None, None], (count, 2, 8, 8)
    )
    pictures = np.ascontiguousarray(pictures)
    pictures[:, :, 0, 0] += 1
    for kind, array in (("dat", pictures), ("cat", np.arange(count, dtype="<i4") % 5), ("info", info.astype("<i4"))):
        (tmp_path / f"{SPLITS[0]}-{kind}.mat").write_bytes(matrix(array))
    assert smallnorb(tmp_path).n_images == count


ARCHIVES = {"dsprites": put_dsprites, "shapes3d": put_shapes3d, "cars3d": put_cars, "smallnorb": put_norb}


@pytest.mark.parametrize("name", list(ARCHIVES))
def test_what_is_missing_is_said_with_where_it_is_to_be_had(name: str, tmp_path: Path) -> None:
    entry = next(entry for entry in describe_datasets() if entry.name == name)
    assert not entry.available
    assert str(cache_folder(name)) in entry.location
    assert "from http" in entry.location
    with pytest.raises(MissingDataError, match=f"'{name}' cannot be used: needs") as caught:
        dataset_size(DatasetConfig(name=name))
    assert list(caught.value.fields) == ["dataset.name"]
    with pytest.raises(MissingDataError, match=f"'{name}' needs .*, got {tmp_path}, where that is missing") as caught:
        dataset_size(DatasetConfig(name=name, path=str(tmp_path)))
    assert list(caught.value.fields) == ["dataset.path"]


@pytest.mark.parametrize("name", list(ARCHIVES))
def test_files_in_the_folder_of_the_data_set_are_found_without_a_path(name: str) -> None:
    cache_folder(name).mkdir(parents=True)
    ARCHIVES[name](cache_folder(name))
    assert next(entry for entry in describe_datasets() if entry.name == name).available
    dataset = load_dataset(DatasetConfig(name=name))
    assert dataset.name == name
    assert dataset.batch(np.array([0])).shape[-2:] == (64, 64)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / SHAPES3D_FILE).write_bytes(b"")
    monkeypatch.setattr("vaefrag_core.datasets.archives.find_spec", lambda name: None)
    with pytest.raises(MissingDataError, match=r"needs the package h5py: pip install 'vaefrag\[h5\]'"):
        shapes3d(tmp_path)


def test_other_files_of_the_name_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / DSPRITES_FILE, imgs=np.zeros((3, 4)), latents_classes=[1], latents_values=[1])
    with pytest.raises(BrokenFileError, match=r"got \(3, 4\) of float64, \(1,\) and \(1,\)\. That is another file"):
        dsprites(tmp_path)
    np.savez(tmp_path / DSPRITES_FILE, imgs=np.zeros((3, 4)))
    with pytest.raises(BrokenFileError, match="expected a whole array 'latents_classes', got one that cannot be read"):
        dsprites(tmp_path)
    put_cars(tmp_path)
    savemat(tmp_path / "data" / "cars" / "list.mat", {"list": [1]})
    with pytest.raises(BrokenFileError, match=r"list\.mat: expected a \.mat file with im"):
        cars3d(tmp_path)
    savemat(tmp_path / "data" / "cars" / "list.mat", {"im": np.zeros((2, 2))})
    with pytest.raises(BrokenFileError, match=r"list\.mat: expected im .*, got \(2, 2\) of float64"):
        cars3d(tmp_path)


def test_another_hdf5_file_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra h5 is not installed")
    with h5py.File(tmp_path / SHAPES3D_FILE, "w") as file:
        file.create_dataset("images", data=np.zeros((2, 8, 8)))
    with pytest.raises(BrokenFileError, match="expected an HDF5 file with images and labels"):
        shapes3d(tmp_path)
    (tmp_path / SHAPES3D_FILE).write_bytes(b"no HDF5")
    with pytest.raises(BrokenFileError, match="got one that cannot be read"):
        shapes3d(tmp_path)


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("dat", b"", "expected a whole binary matrix, got one that cannot be read"),
        ("dat", b"\x01" * 24, "beginning 55 4c 3d 1e or 54 4c 3d 1e, got one beginning 01 01 01 01"),
        ("dat", matrix(np.zeros((6, 2, 8, 8), np.uint8))[:-1], "expected 768 more bytes, as its head says, got 767"),
        ("dat", matrix(np.zeros((5, 2, 8, 8), np.uint8)), r"a matrix \(6, 2, 8, 8\) of uint8, got \(5, 2, 8, 8\)"),
        ("cat", matrix(np.zeros(6, np.uint8)), r"a matrix \(6,\) of int32, got \(6,\) of uint8"),
        ("cat", struct.pack("<IIIII", 0x1E3D4C54, 1, 10**6, 1, 1) + b"1234", "expected .* more bytes, .* got 4"),
        ("info", matrix(np.zeros((5, 4), "<i4")), "expected 6 rows, as in .*-cat.mat, got 5"),
    ],
)
def test_broken_matrices_are_named(tmp_path: Path, kind: str, data: bytes, said: str) -> None:
    put_norb(tmp_path, splits=1)
    (tmp_path / f"{SPLITS[0]}-{kind}.mat").write_bytes(data)
    with pytest.raises(VaefragError, match=f"{SPLITS[0]}-(dat|{kind}).mat: .*{said}"):
        smallnorb(tmp_path)
