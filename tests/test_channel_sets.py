"""Named sets: kept, found again, exported; and the command that makes them."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from support import Trained
from vaefrag.cli import cli
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.channel_sets import SetStore, parse_channel, pool_set, set_posteriors
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError
from vaefrag_core.structure.planted_ensembles import independent
from vaefrag_core.synthesis import combination
from vaefrag_core.synthesis.channel_pool import ChannelName
from vaefrag_core.synthesis.combination import joint_information

CHANNELS = (ChannelName("a", 2, 1), ChannelName("b", 0, 3))


def combine(workspace: Path, *arguments: str) -> dict:
    done = CliRunner().invoke(cli, ["combine", *arguments, "--workspace", str(workspace), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)


def test_a_set_is_kept_under_its_name_and_deleted(tmp_path: Path) -> None:
    store = SetStore(tmp_path)
    kept = store.save("  Strokes & loops ", CHANNELS, "s")
    assert store.load(kept.id) == kept
    assert (kept.name, kept.channels, kept.sample_id) == ("Strokes & loops", CHANNELS, "s")
    assert kept.id.startswith("strokes-loops-")
    assert store.save("Strokes & loops", CHANNELS, "s") == kept
    other = store.save("Strokes & loops", CHANNELS[:1], "s")
    assert {found.id for found in store.all()} == {kept.id, other.id}
    store.delete(kept.id)
    store.delete(kept.id)
    assert store.ids() == [other.id]
    with pytest.raises(MissingDataError, match=f"There is no set '{kept.id}'. Sets there: {other.id}"):
        store.load(kept.id)


@pytest.mark.parametrize("set_id", ["../x", "", "A", "a/b", "x" * 101])
def test_an_id_from_an_address_never_leaves_the_folder(tmp_path: Path, set_id: str) -> None:
    with pytest.raises(MissingDataError, match="not a set's id"):
        SetStore(tmp_path).delete(set_id)


def test_a_damaged_set_is_named_and_hides_no_other(tmp_path: Path) -> None:
    store = SetStore(tmp_path)
    kept = store.save("one", CHANNELS, None)
    (tmp_path / "sets" / "bad.json").write_text('{"name": "x"}')
    assert store.all() == [kept]
    with pytest.raises(BrokenFileError, match=r"bad\.json: expected a set of format 1"):
        store.load("bad")


def test_sets_without_name_or_channel_are_refused(tmp_path: Path) -> None:
    store = SetStore(tmp_path)
    with pytest.raises(InvalidInputError, match="name of 1 to 80 characters, got 0"):
        store.save("  ", CHANNELS, None)
    with pytest.raises(InvalidInputError, match="at least one channel to save"):
        store.save("x", [], None)


def test_channels_are_read_as_people_write_them() -> None:
    assert parse_channel("3.12", "a") == ChannelName("a", 3, 12)
    assert parse_channel("b-1.5:3.12", "a") == ChannelName("b-1.5", 3, 12)
    with pytest.raises(InvalidInputError, match=r"channel as member\.channel, such as 0\.3, or ENSEMBLE:0\.3, got 'x'"):
        parse_channel("x", "a")


def test_a_set_of_two_ensembles_is_one_member_of_its_channels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    store = EnsembleStore(tmp_path)
    parts = [Posteriors(m, np.zeros_like(m), sample_id="s") for m in rng.normal(size=(2, 3, 20, 4))]
    one, other = (store.add(part, name) for part, name in zip(parts, "ab", strict=True))
    names = [ChannelName(other.id, 1, 2), ChannelName(one.id, 2, 0)]
    pooled = pool_set(names, store.posteriors)
    set_posteriors(pooled, names).save(tmp_path / "set.npz")
    found = Posteriors.load(tmp_path / "set.npz")
    assert (found.n_members, found.n_channels, found.sample_id) == (1, 2, "s")
    assert np.array_equal(found.mean[0], np.stack([parts[1].mean[1][:, 2], parts[0].mean[2][:, 0]], axis=1))
    assert joint_information(found, [0, 1]) == pytest.approx(
        joint_information(pooled.posteriors, pooled.flat_indices(names))
    )


def test_the_command_tells_saves_and_exports_a_set(trained: Trained, tmp_path: Path) -> None:
    posteriors, place = trained.store.posteriors(trained.id), EnsembleStore(tmp_path)
    record = place.add(posteriors, "six")
    channels = np.argsort(-trained.store.analysis(trained.id).matrix.information_bits)[:3].tolist()
    names = [".".join(map(str, posteriors.channel_names[c])) for c in channels]
    file = str(tmp_path / "set.npz")
    found = combine(tmp_path, record.id, *names[:2], "--name", "Two", "--rank", "bits", "--output", file)
    assert found["joint_bits"] == pytest.approx(joint_information(posteriors, channels[:2]), abs=1e-5)
    assert found["redundancy_bits"] == pytest.approx(found["sum_bits"] - found["joint_bits"], abs=1e-9)
    assert 0 < found["labels"]["digit"]["nmi"] < 1
    gains = [addition["gain_bits"] for addition in found["additions"]]
    assert gains == sorted(gains, reverse=True)
    assert Posteriors.load(file).n_channels == 2
    again = CliRunner().invoke(
        cli, ["export", found["id"], "--workspace", str(tmp_path), "--output", str(tmp_path / "again.npz")]
    )
    assert again.exit_code == 0, again.exception
    assert Posteriors.load(tmp_path / "again.npz").key == Posteriors.load(file).key
    grown = combine(tmp_path, found["id"], "--greedy", "3", "--rank", "digit")  # by its id, and one more
    assert [c["channel"] for c in grown["channels"][:2]] == [int(name.split(".")[1]) for name in names[:2]]
    assert grown["labels"]["digit"]["shared_bits"] == pytest.approx(grown["greedy_bits"][-1], abs=1e-5)
    halves = grown["greedy_on_halves"]
    assert len(halves["gain_on_others"]) == 3
    assert halves["gain_where_chosen"][:2] == pytest.approx([0, 0], abs=1e-6)  # two were given
    (low, high), gain = halves["gain_on_others_95"][-1], halves["gain_on_others"][-1]
    assert low < gain < high
    assert gain <= halves["gain_where_chosen"][-1] + 1e-9  # equal where all halves choose the same


def test_the_command_refuses_in_a_sentence(trained: Trained, tmp_path: Path) -> None:
    workspace = trained.store.workspace
    for arguments, sentence in [
        ([trained.id], "at least one channel to combine"),
        ([trained.id, "0.99"], "There is no channel 0.99"),
        ([trained.id, "0.1", "0.1"], "more than once"),
        (["nothing", "0.1"], "There is no ensemble and no set 'nothing' in .* `vaefrag list` names"),
    ]:
        with pytest.raises((InvalidInputError, MissingDataError), match=sentence):
            combine(workspace, *arguments)


def test_what_tells_nothing_is_not_told_as_less_than_nothing(tmp_path: Path) -> None:
    image = np.arange(70)
    mean = np.stack([50.0 * (image % 7), 50.0 * (image % 5)], axis=1)[None]  # independent: redundant by rounding alone
    posteriors = Posteriors(mean, np.zeros_like(mean))
    assert -1e-9 < combination.combine(posteriors, [0, 1]).redundancy_bits < 0
    place = ["--workspace", str(tmp_path)]
    ensemble_id = EnsembleStore(tmp_path).add(posteriors, "apart").id
    told = CliRunner().invoke(cli, ["combine", ensemble_id, "0.0", "0.1", "--rank", "bits", *place])
    assert told.exit_code == 0, told.exception
    assert " 0.00 redundant" in told.stderr
    assert "gain, bits" in told.stderr


def test_the_command_says_that_a_greedy_set_of_noise_is_luck(tmp_path: Path) -> None:
    record = EnsembleStore(tmp_path).add(independent(3, 4, 60, 0, bits=(1.0, 1.0)), "noise")
    told = CliRunner().invoke(cli, ["combine", record.id, "--greedy", "3", "--workspace", str(tmp_path)]).stderr
    told = " ".join(told.split())
    assert "Greedy sets of 3 channels, grown on half of the images, tell 0." in told
    assert "On images that did not choose them they are not clearly better." in told
    few = EnsembleStore(tmp_path).add(independent(2, 2, 15, 0), "few")
    told = CliRunner().invoke(cli, ["combine", few.id, "--greedy", "2", "--workspace", str(tmp_path)]).stderr
    assert "images are too few to tell the greedy set on others" in " ".join(told.split())


def test_medoids_of_an_ensemble_without_hotspots_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(3, 40, 4)) * 1e-3
    record = EnsembleStore(tmp_path).add(Posteriors(noise, np.zeros_like(noise)), "noise")
    pipeline.analyze(record.id, EnsembleStore(tmp_path))
    with pytest.raises(InvalidInputError, match="has no hotspots, so no medoids"):
        combine(tmp_path, record.id, "--medoids")
    shown = CliRunner().invoke(cli, ["analyze", record.id, "--min-bits", "100", "--workspace", str(tmp_path)]).stderr
    assert "0 hotspots among 0 live channels of 3 members (12 dead channels set aside)." in shown
    assert "medoid" not in shown
    assert "Analyse with a lower --min-bits than 100." in shown
    assert "smaller β" not in shown
