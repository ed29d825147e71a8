"""Fusions of an ensemble: made by a job, evaluated, found by their id, exported, and gone on with."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from support import sixty_digits
from test_cli import vaefrag
from vaefrag.cli import cli
from vaefrag.commands.training_runs import StoppedError
from vaefrag.jobs.job_store import JobStore
from vaefrag_core import fusion_pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.channel_sets import SetStore
from vaefrag_core.config import FusionConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import InvalidInputError, MissingDataError, VaefragError
from vaefrag_core.fusion_pipeline import fuse_ensemble
from vaefrag_core.fusion_store import FusionStore, channels_of
from vaefrag_core.synthesis.channel_pool import ChannelName
from vaefrag_core.synthesis.distillation import DistilledEncoder
from vaefrag_core.synthesis.fusion import FusionStep

SMALL = FusionConfig(steps=50, restarts=1, members=(0, 2, 3))


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[EnsembleStore, str]:
    """Return a workspace with sixty digits, seen by five members that add up pixels at random."""
    store = EnsembleStore(tmp_path_factory.mktemp("fusions"))
    return store, store.add(sixty_digits(), "Sixty digits").id


def test_more_images_than_pairs_of_them_can_be_held_are_refused(
    imported: tuple[EnsembleStore, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion_pipeline, "MOST_IMAGES", 59)
    with pytest.raises(InvalidInputError, match=r"^Expected at most 59 images to fuse spaces on, .* got 60\."):
        fuse_ensemble(imported[1], imported[0], SMALL)


def test_a_fusion_is_evaluated_and_teaches_an_encoder(imported: tuple[EnsembleStore, str]) -> None:
    store, ensemble_id = imported
    stages: list[tuple[str, float]] = []
    fusion_id, fused = fuse_ensemble(
        ensemble_id, store, SMALL, on_stage=lambda stage, share, step: stages.append((stage, share))
    )
    assert FusionStore(store).ids(ensemble_id) == [fusion_id]
    assert FusionStore(store).home(fusion_id) == ensemble_id
    np.testing.assert_array_equal(FusionStore(store).fused(ensemble_id, fusion_id).mean, fused.mean)
    assert fused.learner_names == ("member 0", "member 2", "member 3")
    report = FusionStore(store).report(ensemble_id, fusion_id)
    assert [probe["kind"] for probe in report["probes"]] == ["overlap", "draws", "means"]
    for probe in report["probes"]:
        assert [row["space"] for row in probe["spaces"]][:2] == ["fused space", "best single learner"]
    assert [row["label"] for row in report["label_bits"]] == ["digit"] * 3
    assert report["encoder"]["held_out"] == 12
    encoder = DistilledEncoder.load(FusionStore(store).folder(ensemble_id, fusion_id) / "encoder.safetensors")
    assert encoder.image_shape == (1, 8, 8)
    assert {stage for stage, _ in stages} == {"fuse", "judge", "distil"}
    assert ("distil", 1.0) in stages
    stages.clear()
    again = fuse_ensemble(ensemble_id, store, SMALL, on_stage=lambda stage, share, step: stages.append((stage, share)))
    assert again[0] == fusion_id
    assert stages == []  # nothing is done twice


def test_stopped_keeps_the_best_so_far_and_goes_on(imported: tuple[EnsembleStore, str]) -> None:
    store, ensemble_id = imported
    config = SMALL.model_copy(update={"seed": 5, "restarts": 2})
    steps: list[FusionStep | None] = []
    fusion_id, first = fuse_ensemble(
        ensemble_id, store, config, on_stage=lambda *of: steps.append(of[2]), should_stop=lambda: len(steps) > 1
    )
    assert (first.end, first.steps) == ("stopped", 26)
    assert FusionStore(store).fused(ensemble_id, fusion_id).end == "stopped"
    assert FusionStore(store).report(ensemble_id, fusion_id) == {}
    _, second = fuse_ensemble(ensemble_id, store, config)
    assert second.steps == 50
    np.testing.assert_array_equal(second.objectives[:26], first.objectives)
    assert FusionStore(store).report(ensemble_id, fusion_id)


class Cancelled(VaefragError):
    """What a job raises in the midst of its work, to end it."""


def test_cancelled_while_the_encoder_is_taught_it_is_taught_the_next_time(
    imported: tuple[EnsembleStore, str],
) -> None:
    store, ensemble_id = imported
    config = SMALL.model_copy(update={"seed": 6})

    def cancel(stage: str, share: float, step: FusionStep | None) -> None:
        if stage == "distil" and share > 0:
            raise Cancelled("This fusion is no longer wanted.")

    with pytest.raises(Cancelled):
        fuse_ensemble(ensemble_id, store, config, on_stage=cancel)
    fusions = FusionStore(store)
    assert fusions.report(ensemble_id, fusions.id_of(ensemble_id, config)) == {}
    fusion_id, _ = fuse_ensemble(ensemble_id, store, config)
    report = fusions.report(ensemble_id, fusion_id)
    assert report["encoder"]["held_out"] == 12
    assert report["encoder_note"] == ""


def test_an_encoder_that_is_missing_is_taught_when_the_same_is_fused_again(
    imported: tuple[EnsembleStore, str],
) -> None:
    store, ensemble_id = imported
    fusion_id, _ = fuse_ensemble(ensemble_id, store, SMALL)
    folder = FusionStore(store).folder(ensemble_id, fusion_id)
    whole = FusionStore(store).report(ensemble_id, fusion_id)
    without = whole | {"encoder": None, "encoder_note": "The images were not at hand."}
    (folder / "report.json").write_text(json.dumps(without), encoding="utf-8")
    (folder / "encoder.safetensors").unlink(missing_ok=True)
    stages: list[str] = []
    fuse_ensemble(ensemble_id, store, SMALL, on_stage=lambda stage, share, step: stages.append(stage))
    assert set(stages) == {"distil"}  # the rest is there
    assert FusionStore(store).report(ensemble_id, fusion_id) == whole
    assert (folder / "encoder.safetensors").is_file()


def test_what_an_earlier_version_evaluated_is_evaluated_anew_and_its_encoder_is_kept(
    imported: tuple[EnsembleStore, str],
) -> None:
    store, ensemble_id = imported
    fusion_id, _ = fuse_ensemble(ensemble_id, store, SMALL)
    folder = FusionStore(store).folder(ensemble_id, fusion_id)
    whole = FusionStore(store).report(ensemble_id, fusion_id)
    probe = {"label": "digit", "kind": "neighbours", "spaces": []}
    earlier = {"probes": [probe], "notes": [], "encoder": whole["encoder"], "encoder_note": ""}
    (folder / "report.json").write_text(json.dumps(earlier), encoding="utf-8")
    stages: list[str] = []
    fuse_ensemble(ensemble_id, store, SMALL, on_stage=lambda stage, share, step: stages.append(stage))
    assert set(stages) == {"judge"}
    assert FusionStore(store).report(ensemble_id, fusion_id) == whole


def test_stopped_late_it_does_not_replace_what_a_later_attempt_has_finished(
    imported: tuple[EnsembleStore, str],
) -> None:
    store, ensemble_id = imported
    config = SMALL.model_copy(update={"seed": 9})

    def overtaken() -> bool:
        fuse_ensemble(ensemble_id, store, config)
        return True

    fusion_id, stopped = fuse_ensemble(ensemble_id, store, config, should_stop=overtaken)
    assert (stopped.end, stopped.steps) == ("stopped", 1)
    finished = FusionStore(store).fused(ensemble_id, fusion_id)
    assert (finished.end, finished.steps) == ("steps", 50)


@pytest.mark.parametrize("reads", range(4))
def test_members_that_join_meanwhile_change_what_is_fused_and_its_id_or_neither(
    imported: tuple[EnsembleStore, str], monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    store, ensemble_id = imported
    config = FusionConfig(steps=25, restarts=1, seed=70 + reads)
    later = store.posteriors(ensemble_id)
    before = replace(later, mean=later.mean[:4], logvar=later.logvar[:4], member_ids=None)
    id_later = FusionStore(store).id_of(ensemble_id, config)
    answers = [before] * reads
    monkeypatch.setattr(EnsembleStore, "posteriors", lambda *_: answers.pop() if answers else later)
    fusion_id, fused = fuse_ensemble(ensemble_id, store, config)
    assert (fusion_id == id_later) == (len(fused.learner_names) == 5)


def test_the_name_is_no_part_of_what_is_fused(imported: tuple[EnsembleStore, str]) -> None:
    fusions, ensemble_id = FusionStore(imported[0]), imported[1]
    named = SMALL.model_copy(update={"name": "Best"})
    assert fusions.id_of(ensemble_id, named) == fusions.id_of(ensemble_id, SMALL)
    assert fusions.id_of(ensemble_id, FusionConfig()) != fusions.id_of(ensemble_id, SMALL)


@pytest.mark.parametrize("fusion_id", ["0123456789ab", "../../spec", ""])
def test_a_fusion_that_is_not_there_is_named(imported: tuple[EnsembleStore, str], fusion_id: str) -> None:
    store, ensemble_id = imported
    with pytest.raises(MissingDataError, match="There is no fusion"):
        FusionStore(store).fused(ensemble_id, fusion_id)
    with pytest.raises(MissingDataError, match="There is no fusion"):
        FusionStore(store).home(fusion_id)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--members", "0,9"], "There is no member 9"),
        (["--members", "0"], "at least two members to fuse"),
        (["--members", "0;1"], "Expected --members as numbers separated by commas"),
        (["--members", ","], "Expected --members as numbers separated by commas"),
        (["--channels", " , "], "Expected --channels as MEMBER.CHANNEL separated by commas"),
        (["--channels", "3"], "Expected a channel as member.channel"),
        (["--dimension", "0"], "--dimension: expected a value greater than or equal to 1, got 0."),
        (["--members", "0,1", "--channels", "0.1"], "Expected either members or channels, got both."),
    ],
)
def test_wrong_input_is_one_line_and_no_job(
    imported: tuple[EnsembleStore, str], arguments: list[str], message: str
) -> None:
    store, ensemble_id = imported
    done = CliRunner().invoke(cli, ["fuse", ensemble_id, *arguments, "--workspace", str(store.workspace)])
    assert isinstance(done.exception, InvalidInputError)
    assert message in str(done.exception)
    assert not (store.workspace / "jobs").exists()


def test_the_command_fuses_by_a_job_and_the_result_is_exported(
    imported: tuple[EnsembleStore, str], tmp_path: Path
) -> None:
    store, ensemble_id = imported
    options = ("--workspace", str(store.workspace), "--json")
    arguments = ("--channels", "0.0,1.2,4.1", "--steps", "25", "--restarts", "1", "--dimension", "1")
    done = vaefrag("fuse", ensemble_id, *arguments, *options)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [learner["name"] for learner in result["learners"]] == ["channel 0.0", "channel 1.2", "channel 4.1"]
    assert result["steps"] == 25
    exported = tmp_path / "fused.npz"
    done = vaefrag("export", ensemble_id, "--fusion", result["fusion"], "--output", str(exported), *options)
    assert done.returncode == 0, done.stderr
    posteriors = Posteriors.load(exported)
    assert posteriors.mean.shape == (1, 60, 1)
    assert posteriors.sample_id == "sixty"
    assert posteriors.images is not None


def test_channels_of_several_ensembles_are_fused(tmp_path: Path) -> None:
    digits = replace(sixty_digits(), labels=None, label_names=None, images=None)  # no evaluation and no encoder
    store = EnsembleStore(tmp_path)
    whole = store.add(digits, "Five").id
    one = store.add(replace(digits, mean=digits.mean[:2], logvar=digits.logvar[:2], member_ids=None), "One").id
    two = store.add(replace(digits, mean=digits.mean[2:], logvar=digits.logvar[2:], member_ids=None), "Two").id
    channels = [ChannelName(one, 1, 0), ChannelName(two, 0, 2), ChannelName(one, 0, 1)]
    apart = FusionConfig(dimension=1, steps=25, restarts=1, channels=channels_of(channels, one))
    fusion_id, fused = fuse_ensemble(one, store, apart)
    assert fused.learner_names == (f"channel 1.0 of {one}", f"channel 0.2 of {two}", f"channel 0.1 of {one}")
    assert FusionStore(store).home(fusion_id) == one
    _, same = fuse_ensemble(whole, store, apart.model_copy(update={"channels": ((1, 0), (2, 2), (0, 1))}))
    np.testing.assert_array_equal(fused.mean, same.mean)
    elsewhere = store.add(replace(digits, sample_id="elsewhere"), "Elsewhere").id
    with pytest.raises(InvalidInputError, match="different samples"):
        fuse_ensemble(one, store, apart.model_copy(update={"channels": ((1, 0), (elsewhere, 0, 0))}))


def test_what_is_seen_on_the_way_is_the_best_so_far(imported: tuple[EnsembleStore, str]) -> None:
    store, ensemble_id = imported
    config, states = FusionConfig(dimension=3, steps=50, restarts=3, seed=8), []
    fusion_id = FusionStore(store).id_of(ensemble_id, config)
    assert FusionStore(store).state(ensemble_id, fusion_id) is None

    def stop() -> bool:
        states.append(FusionStore(store).state(ensemble_id, fusion_id))
        return len(states) == 30

    _, fused = fuse_ensemble(ensemble_id, store, config, should_stop=stop)
    assert [state is not None for state in states] == [False] * 25 + [True] * 5
    assert len(states[-1].objectives) == 25
    last = FusionStore(store).state(ensemble_id, fusion_id)
    assert last is not None
    np.testing.assert_array_equal(last.mean, fused.mean)
    np.testing.assert_array_equal(last.logvar, fused.logvar)
    np.testing.assert_array_equal(last.bits, fused.bits)
    assert last.objectives[:, last.best].max() == fused.objective


def test_the_command_takes_a_saved_set(imported: tuple[EnsembleStore, str], monkeypatch: pytest.MonkeyPatch) -> None:
    store, ensemble_id = imported
    names = [ChannelName(ensemble_id, 0, 0), ChannelName(ensemble_id, 3, 1)]
    kept = SetStore(store.workspace).save("Two by hand", names, "sixty")
    submitted: list[FusionConfig] = []

    def note(job_store: JobStore, home: str, config: FusionConfig) -> str:
        assert home == ensemble_id
        submitted.append(config)
        raise StoppedError("noted")

    monkeypatch.setattr(JobStore, "submit_fusion", note)
    monkeypatch.setattr("vaefrag.jobs.engine_process.ensure_engine", lambda settings: nullcontext())
    options = ["--workspace", str(store.workspace)]
    CliRunner().invoke(cli, ["fuse", kept.id, *options])
    CliRunner().invoke(cli, ["fuse", ensemble_id, "--channels", f"0.0,{ensemble_id}:3.1", *options])
    assert [config.channels for config in submitted] == [((0, 0), (3, 1))] * 2
    refused = CliRunner().invoke(cli, ["fuse", kept.id, "--members", "0,1", *options])
    assert "names its channels itself" in str(refused.exception)
    nowhere = CliRunner().invoke(cli, ["fuse", "nowhere", *options])
    assert "no ensemble and no set 'nowhere'" in str(nowhere.exception)
