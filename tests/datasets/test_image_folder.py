import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.test_image_files import packed, png
from vaefrag_core.config import DatasetConfig, EnsembleSpec
from vaefrag_core.datasets import image_folder as module
from vaefrag_core.datasets.catalog import dataset_remarks, dataset_size, load_dataset
from vaefrag_core.datasets.image_folder import load_image_folder
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError

RNG = np.random.default_rng(5)


def noise(height: int = 8, width: int = 8, *colour: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, *colour), dtype=np.uint8)


CATS = [noise() for _ in range(3)]
FILES = {
    "cat/0.png": packed(Image.fromarray(CATS[0])),
    "cat/1.PNG": packed(Image.fromarray(CATS[1])),
    "dog/old/0.jpg": packed(Image.fromarray(noise(20, 30)), "JPEG"),
    "dog/1.png": packed(Image.fromarray(noise())),
    "dog/broken.png": packed(Image.fromarray(noise()))[:60],
    "dog/cut.jpeg": packed(Image.fromarray(noise(40, 40)), "JPEG")[:700],
    "dog/bomb.png": png(30_000, 30_000),
    "notes.txt": b"nothing to see",
    ".hidden.png": b"?",
    "__MACOSX/cat/0.png": b"?",
}


@pytest.fixture(params=["folder", "zip"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "folder":
        for name, data in FILES.items():
            (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "pictures" / name).write_bytes(data)
        return tmp_path / "pictures"
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(f"all/{name}", data)  # as most are packed: in one folder
    return tmp_path / "pictures.zip"


def test_what_can_be_read_is_read_and_the_rest_is_listed(path: Path) -> None:
    dataset = load_image_folder(path)
    assert (dataset.n_images, dataset.image_shape) == (4, (8, 8, 1))
    np.testing.assert_array_equal(dataset.images[np.array([0, 1])], CATS[:2])
    assert isinstance(dataset.images, np.memmap)
    (factor,) = dataset.factors
    assert factor.name == "class"
    assert factor.texts(np.arange(4)).tolist() == ["cat", "cat", "dog", "dog"]
    report = {Path(name).name: found for name, found in dataset.report}
    assert report["1.PNG"] == "read: 8×8 L"
    assert report["0.jpg"] == "read: 30×20 L"
    assert report["broken.png"].startswith("damaged")
    assert report["cut.jpeg"].startswith("damaged")
    assert report["bomb.png"].endswith("more than 67,108,864 pixels")
    assert report["notes.txt"] == "not .png, .jpg, .jpeg"
    assert len(report) == 8  # two of one name; neither what is hidden, nor what macOS packs
    left_out, scaled = dataset.remarks
    assert left_out.startswith("4 of 8 files were left out: ")
    assert left_out.endswith(" and 1 more.")
    assert scaled == "1 of 4 images were scaled to 8×8 pixels."


def test_they_are_decoded_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_image_folder(path)
    monkeypatch.setattr(module, "decode_image", None)
    again = load_image_folder(path)
    np.testing.assert_array_equal(again.images[np.arange(4)], first.images[np.arange(4)])
    assert (again.report, again.remarks) == (first.report, first.remarks)
    with pytest.raises(TypeError):
        load_image_folder(path, 16)  # at another size they are decoded again


def test_an_image_size_makes_squares(path: Path) -> None:
    config = DatasetConfig(name="images", path=str(path), image_size=32)
    assert dataset_size(config) == (4, (32, 32, 1))
    assert load_dataset(config).image_shape == (32, 32, 1)
    assert len(dataset_remarks(config)) == 2


def test_files_that_change_are_decoded_again(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(packed(Image.fromarray(noise())))
    first = load_image_folder(tmp_path).images[np.arange(2)]
    (tmp_path / "b.png").write_bytes(packed(Image.fromarray(CATS[2])))
    second = load_image_folder(tmp_path).images[np.arange(2)]
    np.testing.assert_array_equal(second[0], first[0])
    np.testing.assert_array_equal(second[1], CATS[2])


def test_colour_of_one_file_makes_all_coloured_and_large_ones_are_64_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(packed(Image.fromarray(noise(70, 90))))
    (tmp_path / "b.png").write_bytes(packed(Image.fromarray(noise(70, 90, 3))))
    dataset = load_image_folder(tmp_path)
    assert dataset.image_shape == (64, 64, 3)
    assert dataset.factors == ()


def test_strips_and_dots_do_not_decide_the_size(tmp_path: Path) -> None:
    for k, (height, width) in enumerate([(1, 1), (1, 1), (90, 4), (90, 4), (16, 12), (20, 20)]):
        (tmp_path / f"{k}.png").write_bytes(packed(Image.fromarray(noise(height, width))))
    assert load_image_folder(tmp_path).image_shape == (16, 12, 1)


def test_names_that_climb_out_of_an_archive_are_left_out_and_stay_in_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
        for k, picture in enumerate(CATS[:2]):
            archive.writestr(f"pics/{'cats' if k else 'dogs'}/{k}.png", packed(Image.fromarray(picture)))
        archive.writestr("../../evil.png", packed(Image.fromarray(CATS[0])))
        archive.writestr("/etc/evil.png", packed(Image.fromarray(CATS[1])))
    before = {file for file in tmp_path.parent.rglob("*.png")}
    dataset = load_image_folder(tmp_path / "slip.zip")
    assert dataset.n_images == 2
    assert [factor.levels for factor in dataset.factors] == [("cats", "dogs")]
    assert dict(dataset.report)["../../evil.png"] == "its name leads out of the archive"
    assert dict(dataset.report)["/etc/evil.png"] == "its name leads out of the archive"
    assert {file for file in tmp_path.parent.rglob("*.png")} == before


def test_a_damaged_member_of_an_archive_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for k, picture in enumerate(CATS):
            archive.writestr(f"{k}.png", packed(Image.fromarray(picture)))
        offset = archive.infolist()[1].header_offset
    data = bytearray(path.read_bytes())
    data[offset + 60] ^= 0xFF
    path.write_bytes(data)
    dataset = load_image_folder(path)
    assert dataset.n_images == 2
    assert "Bad CRC-32" in dict(dataset.report)["1.png"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, r"at least 2 PNG or JPEG files in .*, got none\. Put the pictures there"),
        ({"a.txt": b"", "b.gif": b""}, r"got 2 other files, such as a.txt \(not \.png, \.jpg, \.jpeg\)"),
        ({"a.png": FILES["cat/0.png"], "b.png": b"?"}, r"got one: b\.png \(no PNG or JPEG\)"),
        ({"a.png": FILES["cat/0.png"], "b.png": FILES["cat/0.png"]}, "got 2 that are identical"),
        (
            {f"{k}.png": packed(Image.new("L", (8, 8), k)) for k in range(2)},
            "got 2 of one constant grey level each",
        ),
    ],
)
def test_too_little_to_learn_from_is_refused(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidInputError, match=said) as caught:
        load_dataset(DatasetConfig(name="images", path=str(tmp_path)))
    assert list(caught.value.fields) == ["dataset.path"]


def test_a_path_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="nothing is there"):
        load_image_folder(tmp_path / "nowhere")
    (tmp_path / "a.zip").write_bytes(b"PK, but no archive")
    with pytest.raises(BrokenFileError, match="expected a folder or a zip archive of PNG and JPEG files"):
        load_image_folder(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"name": "images"}, "dataset.path", "'images' needs a folder or a zip archive of .*, given as a path"),
        ({"name": "digits", "image_size": 16}, "dataset.image_size", "'digits' keeps its size, got image size 16"),
    ],
)
def test_settings_that_do_not_fit_are_said_at_their_field(values: dict[str, object], field: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as caught:
        load_dataset(DatasetConfig.model_validate(values))
    assert list(caught.value.fields) == [field]


def test_an_image_size_that_is_left_open_is_no_part_of_the_key() -> None:
    assert EnsembleSpec().key == "395269cdafba"
    other = EnsembleSpec(dataset=DatasetConfig(image_size=32))
    assert other.key != EnsembleSpec().key
