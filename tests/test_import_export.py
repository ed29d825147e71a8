"""Posteriors come in and go out: the documentation's own example, round trips, and what is refused."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from support import Trained
from test_cli import vaefrag
from vaefrag.cli import cli
from vaefrag.commands import training_runs
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import DatasetConfig, EnsembleSpec, FingerprintConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import InvalidInputError
from webpages import Tab, app_of

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "posteriors.md").read_text(encoding="utf-8")


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL))


def test_the_example_of_the_documentation_is_imported_analysed_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    exec(blocks("python"), {})
    ensemble_id = ""
    for line in filter(None, blocks("bash").splitlines()):
        arguments = [ensemble_id if part == "ID" else part for part in shlex.split(line)[1:]]
        done = vaefrag(*arguments, "--workspace", "here", "--json")
        assert done.returncode == 0, done.stderr
        ensemble_id = ensemble_id or json.loads(done.stdout)["id"]
    mine, theirs = Posteriors.load("mine.npz"), Posteriors.load("theirs.npz")
    assert mine.key == theirs.key
    store = EnsembleStore("here")
    assert store.record(ensemble_id).name == "My encoders"
    assert store.analysis(ensemble_id).traversals is None
    tab = Tab(app_of(store, tmp_path / "cache"), f"/ensemble/{ensemble_id}")
    assert "My encoders imported 3 members 12 channels" in tab.words
    assert "train again" not in tab.words
    listed = Tab(app_of(store, tmp_path / "cache"), "/").words
    assert "posteriors file" in listed
    assert "steps" not in listed


def test_an_export_comes_back_the_same_with_images_labels_and_sample(trained: Trained, tmp_path: Path) -> None:
    before = trained.store.posteriors(trained.id)
    done = vaefrag(
        "export", trained.id, "--workspace", str(trained.store.workspace), "--output", str(tmp_path / "x.npz")
    )
    assert done.returncode == 0, done.stderr
    store = EnsembleStore(tmp_path / "other")
    record = store.add(Posteriors.load(tmp_path / "x.npz"), "again")
    after = store.posteriors(record.id)
    assert after.key == before.key
    assert after.sample_id == before.sample_id
    np.testing.assert_array_equal(after.images, before.images)
    theirs, ours = pipeline.analyze(record.id, store), trained.store.analysis(trained.id)
    np.testing.assert_array_equal(np.asarray(theirs.matrix.nmi), np.asarray(ours.matrix.nmi))
    assert theirs.traversals is None  # there is nothing to paint with


def test_the_same_posteriors_are_one_ensemble_and_members_may_differ_in_channels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ragged = [rng.normal(size=(30, channels)) for channels in (2, 5, 3)]
    posteriors = Posteriors(ragged, [np.zeros_like(m) for m in ragged])
    store = EnsembleStore(tmp_path)
    one, other = store.add(posteriors, "one"), store.add(posteriors, "other")
    assert (one.id, other.name) == (other.id, "one")
    assert pipeline.analyze(one.id, store).matrix.n_channels == 10


def wrong(**arrays: Any) -> dict[str, Any]:
    good = np.zeros((2, 9, 3))
    return {"mean": good, "logvar": good, **arrays}


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (wrong(logvar=np.zeros((2, 9, 4))), "Expected logvar of the shape of mean"),
        (wrong(mean=np.full((2, 9, 3), np.nan)), "Expected finite numbers in mean, got NaN or infinity in member 0"),
        (wrong(logvar=np.full((2, 9, 3), np.inf)), "Expected finite numbers in logvar"),
        (wrong(mean=np.array([[{}]], dtype=object)), "expected plain numbers or text in mean, got Python objects"),
        (wrong(labels=np.zeros(8)), "Expected labels of shape (9,)"),
        ({"mean_0": np.zeros((9, 3)), "logvar_0": np.zeros((9, 3)), "mean_2": np.zeros((9, 3))}, "without a gap"),
        ({"other": np.zeros(3)}, "expected arrays mean and logvar"),
        (wrong(mean=np.float64(3)), "numbers of shape (members, images, channels), got a single float64"),
        (wrong(member_ids=np.array(["a", "b"])), "Expected member ids as whole numbers, got type <U1"),
        ({f"a{k}": np.zeros(3) for k in range(9)}, "got a0, a1, a2, a3, a4, a5 and 3 more. docs/posteriors.md says"),
        ({"mean": np.zeros((2, 1, 3)), "logvar": np.zeros((2, 1, 3))}, "greater than or equal to 2, got 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_stored(
    tmp_path: Path, arrays: dict[str, Any], sentence: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    done = vaefrag("import", str(tmp_path / "x.npz"), "--workspace", str(tmp_path / "here"))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "here").exists()


def test_what_is_no_whole_npz_file_is_refused_in_one_line_of_its_own(trained: Trained, tmp_path: Path) -> None:
    whole = (trained.store.folder(trained.id) / "posteriors.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npz").write_text("mean,logvar\n0.1,0.2\n")
    (tmp_path / "empty.npz").touch()
    np.save(tmp_path / "one.npy", np.zeros((2, 9, 3)))
    for name, sentence in (
        ("half.npz", "expected a whole .npz file"),
        ("text.npz", "expected an .npz file, got a file of another kind, whatever its name"),
        ("empty.npz", "expected an .npz file, got a file of another kind"),
        ("one.npy", "expected an .npz file, got a single array (.npy)"),
        ("", "Expected an .npz file, got the folder"),
        ("no.npz", "There is no file"),
    ):
        done = vaefrag("import", str(tmp_path / name), "--workspace", str(tmp_path / "here"))
        assert done.returncode == 1
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
        assert "pickle" not in done.stderr
    assert not (tmp_path / "here").exists()


def test_an_export_takes_no_file_s_place_unless_told_to(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"precious")
    place = ["--workspace", str(trained.store.workspace), "--output", str(tmp_path / "mine.npz")]
    done = vaefrag("export", trained.id, *place)
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert (tmp_path / "mine.npz").read_bytes() == b"precious"
    assert vaefrag("export", trained.id, *place, "--replace").returncode == 0
    assert Posteriors.load(tmp_path / "mine.npz").n_members == 6
    done = vaefrag("export", "nothing", "--workspace", str(trained.store.workspace))
    assert "There is no ensemble and no set 'nothing'" in done.stderr


def test_hotspots_are_told_on_a_terminal_s_width_whatever_the_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, (120, 5))
    mean = np.stack([4.0 * factors[:, [0, 2]] + rng.normal(0, 0.1, (120, 2)) for _ in range(4)])
    names = np.array(["shape", "scale", "orientation", "position x", "position y"])
    texts = {}
    for count in (2, 5):
        file = tmp_path / f"{count}.npz"
        np.savez(file, mean=mean, logvar=np.full_like(mean, -2), labels=factors[:, :count], label_names=names[:count])
        place = ("--workspace", str(tmp_path / "workspace"))
        ensemble_id = json.loads(vaefrag("import", str(file), "--name", "planted", *place, "--json").stdout)["id"]
        texts[count] = vaefrag("analyze", ensemble_id, *place).stderr
        assert "2 hotspots among 8 live channels" in texts[count]
        assert "…" not in texts[count]
    assert all(name in texts[2] for name in ("shape", "scale"))
    rows = [line.split() for line in texts[5].splitlines() if re.match(r" +\d", line)]
    assert sorted(row[-1] for row in rows) == ["orientation", "shape"]
    assert "position" not in texts[5]


def test_what_is_likely_a_mistake_is_said_when_it_is_imported(tmp_path: Path) -> None:
    mean = np.random.default_rng(0).normal(size=(2, 30, 3))
    np.savez(tmp_path / "x.npz", mean=mean, logvar=np.full_like(mean, 0.1))
    done = vaefrag("import", str(tmp_path / "x.npz"), "--workspace", str(tmp_path / "here"), "--json")
    assert done.returncode == 0, done.stderr
    assert "No logvar is below 0, and 100% lie in 0…1" in " ".join(done.stderr.split())
    assert len(json.loads(done.stdout)["warnings"]) == 1


def test_an_ensemble_of_one_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected a value greater than or equal to 2, got 1"):
        EnsembleStore(tmp_path).add(Posteriors(np.zeros((1, 1, 1)), np.zeros((1, 1, 1))), "one")


def test_a_file_that_may_not_be_replaced_is_named_before_anything_is_computed(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute(*_: Any, **__: Any) -> None:
        raise AssertionError("something was computed")

    monkeypatch.setattr("vaefrag_core.synthesis.combination.select_greedily", compute)
    monkeypatch.setattr(EnsembleStore, "posteriors", compute)
    (tmp_path / "there.npz").touch()
    place = ["--workspace", str(trained.store.workspace), "--output"]
    for path, sentence in (("there.npz", "is there already"), ("nowhere/x.npz", "Expected a folder")):
        for command in (["export", trained.id], ["combine", trained.id, "0.0", "--greedy", "2"]):
            refused = CliRunner().invoke(cli, [*command, *place, str(tmp_path / path)])
            assert isinstance(refused.exception, InvalidInputError), refused.exception
            assert sentence in str(refused.exception)


def test_two_images_are_analysed_without_a_warning_of_numpy(tmp_path: Path) -> None:
    mean = np.array([[[0.0, 0.0, 0.0, 0.0], [3.0, 3.0, 3.0, 3.0]]] * 3)
    store = EnsembleStore(tmp_path)
    posteriors = Posteriors(mean, np.full_like(mean, -4.0))
    (oddity,) = [text for text in posteriors.oddities if "two images" in text]
    assert oddity.startswith("There are two images: all channels that tell them apart are the same on them.")
    analysis = pipeline.analyze(store.add(posteriors, "two").id, store)
    np.testing.assert_allclose(analysis.matrix.information_bits, 1.0, atol=1e-3)
    for measure in ("nmi", "vi"):
        assert analysis.maps[measure].stress == 0.0


def test_identifiers_and_copies_are_told_when_posteriors_are_imported(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = np.r_[np.arange(90), np.arange(30)]  # thirty images twice
    mean = rng.normal(size=(3, 90, 2))[:, image]
    labels = np.stack([np.arange(120), np.round(1e4 * np.exp(mean[0, :, 0]))], axis=1)
    np.savez(tmp_path / "x.npz", mean=mean, logvar=mean * 0 - 4, labels=labels, label_names=["row", "size"])
    place = ("--workspace", str(tmp_path / "here"), "--json")
    done = vaefrag("import", str(tmp_path / "x.npz"), "--identifier", "row", *place)
    result = json.loads(done.stdout)
    assert result["identifiers"] == ["row"]
    assert any(text.startswith("30 of 120 images have in every channel") for text in result["warnings"])
    assert "30 of 120 images" in done.stderr
    analysed = vaefrag("analyze", result["id"], *place)
    analysis = json.loads(analysed.stdout)
    assert analysis["identifiers"] == ["row"]
    assert analysis["label_bins"] == {"row": 0, "size": 20}
    assert "Label row was declared an identifier" in " ".join(analysis["messages"])
    for hotspot in analysis["hotspots"]:
        assert set(hotspot["label_nmi"]) == set(hotspot["label_nmi_corrected"]) == {"size"}
        assert hotspot["label_nmi_corrected"]["size"] < hotspot["label_nmi"]["size"]
    refused = vaefrag("import", str(tmp_path / "x.npz"), "--identifier", "column", *place)
    assert refused.returncode == 1
    assert "Expected identifiers among the labels, row, size, got 'column'." in refused.stderr


def test_copies_are_told_when_training_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    images[30:] = images[:10]
    np.savez(tmp_path / "x.npz", images=images)
    spec = EnsembleSpec(
        dataset=DatasetConfig(name="npz", path=str(tmp_path / "x.npz")), fingerprint=FingerprintConfig(size=40)
    )
    training_runs.show_remarks(spec)
    assert "10 of 40 images are identical, pixel for pixel" in capsys.readouterr().err
