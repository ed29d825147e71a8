"""The pages of jobs over a real record: what they show, what a poll draws again, and what buttons ask for."""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dash import Dash

from support import Trained
from vaefrag.jobs.engine_job_store import EngineJobStore
from vaefrag.jobs.ensemble_status import continue_training
from vaefrag.jobs.job_models import JobSnapshot
from vaefrag.jobs.job_store import JobStore
from vaefrag_core.config import EnsembleSpec, TrainConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.training.checkpoints import Checkpoint, History, save_checkpoint
from webpages import Tab, app_of, text_of

GPU = "cuda:1"
TICK = ("jobs-tick", "n_intervals")
POLL = "jobs-seen.data"


class Scene:
    """A workspace with two trainings in its record, which the engine's hand writes.

    Args:
        workspace: the store.
        cache: folder of derived pictures.
    """

    def __init__(self, workspace: EnsembleStore, cache: Path) -> None:
        self.store, self.job_store = workspace, JobStore(workspace.workspace)
        specs = [EnsembleSpec(name=f"run {s}", members=4, train=TrainConfig(steps=100, seed=s)) for s in (1, 2)]
        self.ensembles = [workspace.create(spec).id for spec in specs]
        self.jobs = [self.job_store.submit_training(spec, who="ada") for spec in specs]
        self.engine_store = EngineJobStore(workspace.workspace)
        self.engine_store.sync()
        self.app: Dash = app_of(workspace, cache)

    def train(self, job: int, **row: Any) -> None:
        """Let member 0 of a job be where the engine says it is."""
        open_job = self.engine_store.open[self.jobs[job]]
        open_job.update(state="running", started=time.time())
        open_job.update_member(0, **{"state": "running", "worker": "box 7", **row})
        self.engine_store.flush()

    def end(self, job: int, state: str) -> None:
        """Let a job end."""
        self.engine_store.open[self.jobs[job]].update(state=state, ended=time.time(), started=time.time() - 200)
        self.engine_store.flush()

    def snapshot(self, job: int) -> JobSnapshot:
        """Read a job."""
        return self.job_store.snapshot(self.jobs[job])


@pytest.fixture
def scene(workspace: EnsembleStore, tmp_path: Path) -> Scene:
    return Scene(workspace, tmp_path / "cache")


def parts(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """Give the parts of a name that an answer draws again, by job."""
    found = {}
    for key, props in answer.items():
        if f'"part":"{name}"' in key:
            job = key.split('"job":"')[1].split('"')[0]
            found[job] = props["children"]
    return found


def test_all_jobs_are_listed_with_the_newest_first(scene: Scene) -> None:
    scene.train(0, step=50, steps_per_second=10.0)
    words = Tab(scene.app, "/jobs").words
    assert words.index("run 2") < words.index("run 1")
    assert "0 of 4 members trained · 12%" in words
    assert "10 steps/s" in words
    assert "35 s left" in words  # 50 + 3 × 100 steps at 10 a second
    assert "by ada" in words
    assert "No engine runs here" in words
    assert "No worker has joined." in words


def test_an_empty_record_says_what_will_be_here(workspace: EnsembleStore, tmp_path: Path) -> None:
    assert "Nothing has been asked for yet" in Tab(app_of(workspace, tmp_path / "cache"), "/jobs").words


def test_a_poll_draws_again_what_has_changed_and_no_button_that_has_not(scene: Scene) -> None:
    scene.train(0, step=10)
    tab = Tab(scene.app, "/jobs")
    first = tab.fire(POLL, TICK)  # the state of everything is taken in
    assert not parts(first, "progress")
    seen = {"jobs-seen.data": first["jobs-seen"]["data"]}
    assert tab.fire(POLL, TICK, **seen) == 204
    scene.train(0, step=60)
    moved = tab.fire(POLL, TICK, **seen)

    assert list(parts(moved, "progress")) == list(parts(moved, "pace")) == [scene.jobs[0]]
    assert "· 15%" in text_of(parts(moved, "progress")[scene.jobs[0]])
    assert not parts(moved, "actions")
    assert not parts(moved, "list")
    scene.end(0, "failed")
    ended = tab.fire(POLL, TICK, **{"jobs-seen.data": moved["jobs-seen"]["data"]})
    assert text_of(parts(ended, "actions")[scene.jobs[0]]) == "Retry"


def test_a_member_that_has_collapsed_is_told_until_it_recovers(scene: Scene) -> None:
    def words() -> str:
        return Tab(scene.app, f"/jobs/{scene.jobs[0]}").words

    collapsed = "Member 0 of 4 has collapsed: no channel has a KL of 0.01 nats"
    scene.train(0, step=500, loss=9.0, kl_nats=[0.001, 0.0])
    assert collapsed in words()
    assert "0 of 2" in words()
    scene.train(0, step=525, loss=9.0, kl_nats=[0.5, 0.0])
    assert collapsed not in words()
    assert "1 of 2" in words()


def test_a_new_job_joins_the_list(scene: Scene) -> None:
    tab = Tab(scene.app, "/jobs")
    seen = {"jobs-seen.data": tab.fire(POLL, TICK)["jobs-seen"]["data"]}
    job_id = scene.job_store.submit_training(EnsembleSpec(name="run 3", members=2))
    joined = tab.fire(POLL, TICK, **seen)
    assert text_of(parts(joined, "list")[""]).count("run") == 3
    assert job_id in joined["jobs-seen"]["data"]["jobs"]


def test_an_analysis_made_along_the_way_leaves_the_list_when_it_is_done(scene: Scene) -> None:
    job_id = scene.job_store.submit_analysis(scene.ensembles[0], who="engine", partial=True)
    assert "Analysis" in Tab(scene.app, "/jobs").words
    scene.engine_store.sync()
    scene.engine_store.open[job_id].update(state="done", ended=time.time())
    scene.engine_store.flush()
    assert "Analysis" not in Tab(scene.app, "/jobs").words


@pytest.mark.parametrize("button", ["pause", "cancel"])
def test_a_button_writes_a_wish(scene: Scene, button: str) -> None:
    scene.train(0, step=10)
    tab = Tab(scene.app, "/jobs")
    pressed = {"do": button, "job": scene.jobs[0]}
    props = {f"{Tab.name_of(pressed)}.n_clicks": 1}
    answer = tab.fire("jobs-tick.n_intervals", (pressed, "n_clicks"), **props)
    assert answer["jobs-tick"]["n_intervals"] == 1  # and with it a poll
    assert scene.snapshot(0).job.desired.state == button
    assert scene.snapshot(0).job.desired.who == "a browser at 127.0.0.1"
    assert scene.snapshot(1).job.desired.state == "run"


def test_a_paused_job_can_be_resumed_and_a_failed_one_retried(scene: Scene) -> None:
    scene.train(0, state="failed", error="Member 0 stopped: the loss became NaN.")
    scene.job_store.set_desired_state(scene.jobs[1], "pause")
    scene.end(0, "failed")
    tab = Tab(scene.app, "/jobs")
    for button, job in (("resume", 1), ("retry", 0)):
        pressed = {"do": button, "job": scene.jobs[job]}
        tab.fire("jobs-tick.n_intervals", (pressed, "n_clicks"), **{f"{Tab.name_of(pressed)}.n_clicks": 1})
    assert scene.snapshot(1).job.desired.state == "run"
    assert scene.snapshot(0).job.desired.retries == 1


def test_a_button_that_was_only_drawn_asks_for_nothing(scene: Scene) -> None:
    tab = Tab(scene.app, "/jobs")
    drawn = {"do": "pause", "job": scene.jobs[0]}
    assert tab.fire("jobs-tick.n_intervals", (drawn, "n_clicks")) == 204
    assert scene.snapshot(0).job.desired.state == "run"


def test_what_cannot_be_asked_any_more_is_said(scene: Scene) -> None:
    tab = Tab(scene.app, "/jobs")
    scene.end(0, "cancelled")
    pressed = {"do": "pause", "job": scene.jobs[0]}
    answer = tab.fire("jobs-tick.n_intervals", (pressed, "n_clicks"), **{f"{Tab.name_of(pressed)}.n_clicks": 1})
    assert f"Job {scene.jobs[0]} is cancelled." in text_of(answer["alarm"]["children"])


def test_a_job_shows_its_members_and_the_one_that_is_chosen(scene: Scene) -> None:
    scene.train(0, step=25, loss=31.5, kl_nats=(0.5, 1.25), attempt=2)
    scene.train(0, state="failed", error="Member 0 stopped: the loss became NaN.")
    tab = Tab(scene.app, f"/jobs/{scene.jobs[0]}")
    assert "1 failed" in tab.words
    assert "Member 0 stopped: the loss became NaN." in tab.words
    assert "25 of 100" in tab.words
    assert "31.50 nats" in tab.words
    assert "1.75 nats" in tab.words
    chosen = tab.fire(POLL, ("chosen-member", "data"), **{"chosen-member.data": 2})
    assert "Member 2" in text_of(parts(chosen, "member")[scene.jobs[0]])
    far = tab.fire(POLL, ("chosen-member", "data"), **{"chosen-member.data": 99})
    assert "Member 3" in text_of(parts(far, "member")[scene.jobs[0]])


def test_curves_are_those_of_the_checkpoints(scene: Scene) -> None:
    history = History.empty(2)
    for step in (1, 2, 3):
        history = history.with_row(step, 10.0 - step, 9.0 - step, np.array([0.1 * step, 0.2]))
    folder = scene.store.members_folder(scene.ensembles[0]) / "1"
    weights = {"w": np.zeros(1, dtype=np.float32)}
    save_checkpoint(folder, Checkpoint(step=3, state="running", weights=weights, optimizer={}, history=history))
    scene.train(0, step=3)
    tab = Tab(scene.app, f"/jobs/{scene.jobs[0]}")
    chosen = tab.fire(POLL, ("chosen-member", "data"), **{"chosen-member.data": 1})
    figures = {key: props["figure"]["data"] for key, props in chosen.items() if "figure" in props}
    loss = next(data for key, data in figures.items() if '"plot":"loss"' in key)
    kl = next(data for key, data in figures.items() if '"plot":"kl"' in key)
    assert len(loss) == 2  # the others behind, the chosen one in front
    assert len(kl) == 2  # channels
    again = tab.fire(POLL, TICK, **{"jobs-seen.data": chosen["jobs-seen"]["data"], "jobs-tick.n_intervals": 4})
    assert again == 204  # nothing has been learnt since


def test_an_unknown_job_says_so(scene: Scene) -> None:
    words = Tab(scene.app, "/jobs/nothing").words
    assert "No such job" in words
    assert "There is no job 'nothing'" in words


def test_short_messages_tell_of_jobs_that_ended_and_of_no_other(scene: Scene) -> None:
    tab = Tab(scene.app, "/")
    first = tab.fire("toasts.sendNotifications", ("toast-tick", "n_intervals"))
    assert first["toasts"]["sendNotifications"] == []
    assert first["count-jobs"]["children"] == "2"
    seen = {"toast-seen.data": first["toast-seen"]["data"]}
    assert tab.fire("toasts.sendNotifications", ("toast-tick", "n_intervals"), **seen) == 204
    scene.end(0, "done")
    told = tab.fire("toasts.sendNotifications", ("toast-tick", "n_intervals"), **seen)
    (message,) = told["toasts"]["sendNotifications"]
    assert message["title"] == "Training is done"
    assert text_of(message["message"]) == "run 1"
    assert told["count-jobs"]["children"] == "1"


def test_an_ensemble_in_training_shows_its_job(scene: Scene) -> None:
    scene.train(0, step=50)
    tab = Tab(scene.app, f"/ensemble/{scene.ensembles[0]}")
    assert "0 of 4 members trained · 12%" in tab.words
    assert "No engine runs here" in tab.words
    assert "1 in training, 3 waiting." in tab.words
    assert tab.fire("page.children@", ("tick", "n_intervals")) == 204
    scene.end(0, "cancelled")
    moved = tab.fire("page.children@", ("tick", "n_intervals"))
    assert "Go on" in text_of(moved["page"]["children"])


def test_what_nobody_goes_on_with_can_be_asked_for(scene: Scene, trained: Trained) -> None:
    scene.end(0, "cancelled")
    tab = Tab(scene.app, f"/ensemble/{scene.ensembles[0]}")
    pressed = {"ask": "train", "ensemble": scene.ensembles[0]}
    tab.fire("tick.n_intervals", (pressed, "n_clicks"), **{f"{Tab.name_of(pressed)}.n_clicks": 1})
    job = scene.job_store.open_job(scene.ensembles[0], "train")
    assert job is not None
    assert job.submission.who == "a browser at 127.0.0.1"


def test_the_explorer_says_what_it_does_not_show_yet(trained: Trained, tmp_path: Path) -> None:
    workspace = EnsembleStore(tmp_path / "workspace")
    shutil.copytree(trained.store.folder(trained.id), workspace.folder(trained.id))
    app, job_store = app_of(workspace, tmp_path / "cache"), JobStore(workspace.workspace)
    path = f"/ensemble/{trained.id}"
    assert "Shown are" not in Tab(app, path).words
    tab = Tab(app, path)
    job_id = job_store.submit_analysis(trained.id)
    grown = tab.fire("page.children@", ("tick", "n_intervals"))
    assert "Shown are the 6 members of the last analysis." in text_of(grown["page"]["children"])
    engine_store = EngineJobStore(workspace.workspace)
    engine_store.sync()
    engine_store.open[job_id].update(state="done", ended=time.time())
    engine_store.flush()
    latest = workspace.folder(trained.id) / "analysis" / "latest.json"
    latest.write_text(latest.read_text())  # the same, written again: as after an analysis
    looking = Tab(app, path, "?hotspot=0")
    looking.page = tab.page  # opened before
    asked = looking.fire("page.children@", ("tick", "n_intervals"))
    assert "page" not in asked
    assert "There is a newer analysis." in text_of(asked["newer"]["children"])


def failed_from_the_start(scene: Scene, members: range) -> None:
    """Let members fail before they have a checkpoint, as when their network cannot be imported."""
    open_job = scene.engine_store.open[scene.jobs[0]]
    for m in members:
        open_job.update_member(m, state="failed", error=f"Member {m} stopped: No module named 'mine'.")
    scene.end(0, "failed")


def test_members_that_failed_before_a_checkpoint_are_told_with_the_reason(scene: Scene) -> None:
    failed_from_the_start(scene, range(4))
    scene.end(1, "cancelled")
    tab = Tab(scene.app, f"/ensemble/{scene.ensembles[0]}")
    assert "Training failed" in tab.words
    assert "4 failed." in tab.words
    assert "Member 2 stopped: No module named 'mine'." in tab.words
    assert f"/jobs/{scene.jobs[0]}" in str(tab.page)
    assert "Go on" not in tab.words
    assert "Member 0 stopped: No module named 'mine'." in Tab(scene.app, "/jobs").words
    listed = Tab(scene.app, "/").words
    assert "training failed" in listed
    assert "stopped" in listed  # the other one
    assert "in training" not in listed
    pressed = {"ask": "train", "ensemble": scene.ensembles[0]}
    tab.fire("tick.n_intervals", (pressed, "n_clicks"), **{f"{Tab.name_of(pressed)}.n_clicks": 1})
    # A new job would believe the files, and fail at once.
    assert scene.job_store.job(scene.jobs[0]).desired.retries == 1
    assert len(scene.job_store.job_ids()) == 2


def test_a_retry_of_an_earlier_job_is_what_an_ensemble_shows(scene: Scene) -> None:
    failed_from_the_start(scene, range(4))
    later = scene.job_store.submit_training(scene.store.record(scene.ensembles[0]).spec)
    scene.engine_store.sync()
    scene.engine_store.open[later].update(state="cancelled", ended=time.time())
    scene.engine_store.flush()
    assert "Stopped" in Tab(scene.app, f"/ensemble/{scene.ensembles[0]}").words  # the later one tells of no failure
    scene.job_store.retry(scene.jobs[0])
    scene.engine_store.sync()
    scene.engine_store.open[scene.jobs[0]].update(state="running", retries=1, ended=None)
    scene.engine_store.flush()
    assert "in training" in Tab(scene.app, "/").words


def test_a_failed_analysis_is_told_with_the_reason(scene: Scene, trained: Trained) -> None:
    for m in range(4):
        checkpoint = Checkpoint(
            step=100, state="done", weights={"w": np.zeros(1)}, optimizer={}, history=History.empty(2)
        )
        save_checkpoint(scene.store.members_folder(scene.ensembles[0]) / str(m), checkpoint)
    scene.end(0, "done")
    job = scene.job_store.submit_analysis(scene.ensembles[0])
    scene.engine_store.sync()
    scene.engine_store.open[job].update(state="failed", error="The disk is full.", ended=time.time())
    scene.engine_store.flush()
    tab = Tab(scene.app, f"/ensemble/{scene.ensembles[0]}")
    assert "Analysis failed" in tab.words
    assert "4 of 4 members are trained, but their channels could not be compared." in tab.words
    assert "The disk is full." in tab.words
    assert f"/jobs/{job}" in str(tab.page)
    assert "analysis failed" in Tab(scene.app, "/").words


def test_the_explorer_says_which_members_are_not_in_it_as_they_failed(trained: Trained, tmp_path: Path) -> None:
    workspace = EnsembleStore(tmp_path / "workspace")
    shutil.copytree(trained.store.folder(trained.id), workspace.folder(trained.id))
    shutil.rmtree(workspace.members_folder(trained.id) / "5")
    job_store = JobStore(workspace.workspace)
    job = job_store.submit_training(trained.spec)
    engine_store = EngineJobStore(workspace.workspace)
    engine_store.sync()
    engine_store.open[job].update_member(5, state="failed", error="Member 5 stopped: its worker died 3 times.")
    engine_store.open[job].update(state="done", ended=time.time())
    engine_store.flush()
    words = Tab(app_of(workspace, tmp_path / "cache"), f"/ensemble/{trained.id}").words
    assert "1 of 6 members failed. Member 5 stopped: its worker died 3 times." in words


def test_a_job_says_which_device_it_ran_on(scene: Scene) -> None:
    assert "on the" not in Tab(scene.app, f"/jobs/{scene.jobs[0]}").words
    scene.train(0, device=GPU)
    scene.engine_store.open[scene.jobs[0]].update(device=GPU)
    scene.engine_store.flush()
    words = Tab(scene.app, f"/jobs/{scene.jobs[0]}").words
    assert "on the GPU (CUDA) 1" in words


def test_who_goes_on_with_an_ensemble_keeps_its_estimator(scene: Scene) -> None:
    record, job_store = scene.store.record(scene.ensembles[0]), scene.job_store
    scene.end(0, "cancelled")
    job_id = job_store.submit_training(record.spec, estimator="exact")
    scene.engine_store.sync()
    scene.engine_store.open[job_id].update(state="cancelled", ended=time.time())
    scene.engine_store.flush()
    continue_training(record, job_store, who="ada")
    newest = job_store.newest_job(record.id, "train")
    assert newest is not None
    assert newest.id != job_id
    assert newest.submission.estimator == "exact"
