"""The posteriors file: what goes in comes back, and what is wrong is refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError


@pytest.fixture
def posteriors() -> Posteriors:
    rng = np.random.default_rng(0)
    return Posteriors(
        rng.normal(size=(3, 10, 2)).astype(np.float32),
        rng.normal(size=(3, 10, 2)).astype(np.float32),
        labels=np.array([["a", "1"], ["b", "2"]] * 5),
        label_names=["letter", "number"],
        images=rng.integers(0, 256, (10, 4, 4), dtype=np.uint8),
        sample_id="ten, in order",
        member_ids=[0, 2, 5],
    )


def test_round_trip(posteriors: Posteriors, tmp_path: Path) -> None:
    posteriors.save(tmp_path / "file.npz")
    loaded = Posteriors.load(tmp_path / "file.npz")
    for name in ("mean", "logvar", "labels", "images", "member_ids"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(posteriors, name))
    assert loaded.label_names == ("letter", "number")
    assert loaded.sample_id == "ten, in order"
    assert loaded.key == posteriors.key


def test_members_may_differ_in_channels(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    mean = [rng.normal(size=(6, d)) for d in (1, 4, 2)]
    ragged = Posteriors(mean, [m * 0 for m in mean])
    assert ragged.channels_of_member == (1, 4, 2)
    assert ragged.n_channels == 7
    assert ragged.channel_names.tolist() == [[0, 0], [1, 0], [1, 1], [1, 2], [1, 3], [2, 0], [2, 1]]
    flat, _ = ragged.flat()
    np.testing.assert_array_equal(flat[3], mean[1][:, 2])
    ragged.save(tmp_path / "ragged.npz")
    assert Posteriors.load(tmp_path / "ragged.npz").key == ragged.key


def test_flat_channels_stand_member_by_member(posteriors: Posteriors) -> None:
    mean, logvar = posteriors.flat()
    np.testing.assert_array_equal(mean[3], posteriors.mean[1, :, 1])
    np.testing.assert_array_equal(logvar[4], posteriors.logvar[2, :, 0])
    assert posteriors.channel_names[4].tolist() == [5, 0]


def test_the_key_follows_the_content(posteriors: Posteriors) -> None:
    same = Posteriors(posteriors.mean.copy(), posteriors.logvar, member_ids=[0, 2, 5])
    moved = Posteriors(posteriors.mean + 1e-6, posteriors.logvar, member_ids=[0, 2, 5])
    assert same.key == Posteriors(posteriors.mean, posteriors.logvar, member_ids=[0, 2, 5]).key
    assert same.key != moved.key
    assert same.key != posteriors.key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logvar": np.zeros((2, 10, 2))}, r"logvar of the shape of mean, 3 × \(10, 2\), got 2 × \(10, 2\)"),
        ({"mean": np.zeros((3, 10))}, r"got member 0 with shape \(10,\)"),
        ({"mean": []}, "mean of at least one member, got none"),
        ({"mean": np.full((3, 10, 2), np.nan)}, "got NaN or infinity in member 0"),
        ({"labels": np.arange(9)}, r"labels of shape \(10,\) or \(10, labels\).*got \(9,\)"),
        ({"labels": np.array([object()] * 10)}, "of type object"),
        ({"label_names": ["one"]}, "Expected 2 label names, got 1"),
        ({"images": np.zeros((10, 4, 4))}, "type uint8, got .* of type float64"),
        ({"member_ids": [1]}, r"Expected 3 member ids, got an array of shape \(1,\)"),
        ({"member_ids": ["a", "b", "c"]}, "Expected member ids as whole numbers, got type <U1"),
        ({"member_ids": [0, 1, 1]}, "Expected a member id for each member, got 1 more than once"),
        ({"member_ids": [0, -1, 2]}, r"whole numbers from 0 on, got -1\."),
        ({"member_ids": [0, 0.5, 2]}, r"whole numbers from 0 on, got 0\.5\."),
        ({"member_ids": [0, np.nan, 2]}, "whole numbers from 0 on, got nan"),
        (
            {"member_ids": np.array([0, 1, 2**64 - 1], dtype=np.uint64)},
            "whole numbers from 0 on, got 18446744073709551615",
        ),
        ({"mean": 3.0}, r"shape \(members, images, channels\), got a single float64"),
        ({"mean": np.array(3.0)}, "got a single float64"),
        ({"logvar": np.array("x")}, "Expected logvar as numbers .* got a single <U1"),
        ({"mean": np.ones((3, 10, 2)) * 1j}, r"got member 0 with shape \(10, 2\) and type complex128"),
        (
            {"mean": np.ones((3, 10, 2), dtype=np.longdouble) * np.longdouble("1e400")},
            "got NaN or infinity in member 0",
        ),
        ({"labels": np.ones((10, 2)) * 1j}, "numbers or text, got .* of type complex128"),
        ({"labels": np.zeros((10, 2), dtype=[("a", "i4"), ("b", "f4")])}, "numbers or text, got .* of type"),
        ({"labels": np.zeros((10, 2), dtype="V3")}, r"numbers or text, got .* of type \|V3"),
        ({"labels": np.array([["\xe4".encode("latin-1"), b"b"]] * 10)}, "labels as text, got bytes that are not UTF-8"),
        ({"label_names": ["one", "one"]}, "label names that differ, got 'one' more than once"),
        ({"label_names": [["one", "two"]]}, r"label_names as a list of text, got shape \(1, 2\)"),
        ({"sample_id": ["one", "two"]}, r"sample_id as one text, got shape \(2,\)"),
    ],
)
def test_what_does_not_fit_is_refused(posteriors: Posteriors, change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Posteriors(**vars(posteriors) | change)  # type: ignore[arg-type]


def test_bytes_are_text_where_they_are_utf_8(tmp_path: Path) -> None:
    texts = ["ä", "b"] * 5
    numbers = np.zeros((1, 10, 2))
    np.savez(
        tmp_path / "bytes.npz",
        mean=numbers,
        logvar=numbers,
        labels=np.char.encode(np.array(texts), "utf-8"),
        label_names=np.array([b"letter"]),
        sample_id=np.array(b"ten"),
    )
    loaded = Posteriors.load(tmp_path / "bytes.npz")
    assert loaded.labels is not None
    assert loaded.labels[:, 0].tolist() == texts
    assert (loaded.label_names, loaded.sample_id) == (("letter",), "ten")


@pytest.mark.parametrize(
    "others",
    [{"labels": np.arange(200)}, {"images": np.zeros((200, 4, 4), dtype=np.uint8)}, {"member_ids": np.arange(3)}],
)
def test_images_before_members_are_told_by_another_array_and_what_to_transpose(others: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    mean, logvar = rng.normal(size=(200, 3, 4)), -rng.random((200, 3, 4))
    with pytest.raises(InvalidInputError, match=r"got 200 members on 3 images, and .*np\.swapaxes\(mean, 0, 1\)"):
        Posteriors(mean, logvar, **others)
    assert Posteriors(np.swapaxes(mean, 0, 1), np.swapaxes(logvar, 0, 1), **others).n_images == 200


def test_what_is_allowed_and_likely_a_mistake_is_said() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(3, 50, 4))
    variance = rng.uniform(0.01, 0.9, size=mean.shape)
    assert Posteriors(mean, np.log(variance)).oddities == ()
    assert Posteriors(mean, np.zeros_like(mean)).oddities == ()  # ln σ² of the prior: as variances they cannot be
    (variances,) = Posteriors(mean, variance).oddities
    assert variances.startswith("No logvar is below 0, and 100% lie in 0…1, as variances do.")
    (swapped,) = Posteriors(np.swapaxes(mean, 0, 1), np.swapaxes(np.log(variance), 0, 1)).oddities
    assert swapped.startswith("There are 50 members on 3 images. If it is 3 members on 50 images, transpose: np.swap")
    (two,) = Posteriors(mean[:2, :2], np.log(variance)[:2, :2]).oddities
    assert two.startswith("There are two images: all channels that tell them apart are the same on them.")
    ragged = Posteriors([mean[0], mean[1, :, :2]], [variance[0], variance[1, :, :2]])
    assert ragged.oddities == (variances,)


def test_labels_of_data_without_any_are_none(posteriors: Posteriors) -> None:
    without = Posteriors(**vars(posteriors) | {"labels": np.empty((10, 0)), "label_names": ()})  # type: ignore[arg-type]
    assert without.labels is None
    assert without.label_names == ()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"no file .*nowhere\.npz"):
        Posteriors.load(tmp_path / "nowhere.npz")


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "pickle.npz", mean=np.array([{"a": 1}], dtype=object), logvar=np.zeros(1))
    with pytest.raises(BrokenFileError, match="plain numbers or text in mean, got Python objects"):
        Posteriors.load(tmp_path / "pickle.npz")


def test_a_cut_off_file_is_refused(posteriors: Posteriors, tmp_path: Path) -> None:
    posteriors.save(tmp_path / "whole.npz")
    content = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(BrokenFileError, match="cannot be read"):
        Posteriors.load(tmp_path / "half.npz")


def test_a_file_without_variances_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "means.npz", mean=np.zeros((1, 5, 2)))
    with pytest.raises(BrokenFileError, match=r"expected arrays mean and logvar.*got mean"):
        Posteriors.load(tmp_path / "means.npz")
