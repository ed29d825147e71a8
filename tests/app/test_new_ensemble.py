"""The form: what was typed becomes a job, or an error at its field."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import Trained
from vaefrag.components.spec_form import FIELDS, initial_values, read_fields
from vaefrag.data_folders import check_data_path, data_folders
from vaefrag.jobs.job_store import JobStore
from vaefrag.settings import Settings, load_settings
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import DatasetConfig, EnsembleSpec, ModelConfig, TrainConfig
from vaefrag_core.datasets.image_cache import cache_folder
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.presets import with_preset
from vaefrag_core.spec_validation import resolve
from vaefrag_core.sweeps import SweepStore
from webpages import Tab, app_of, text_of

LAUNCH = ("launch", "n_clicks")


class Form(Tab):
    """The form, opened over a workspace."""

    def launch(self, **typed: Any) -> Any:
        """Press the button with some fields changed; their dots are written as two underscores."""
        values = {f"{Tab.name_of({'field': k.replace('__', '.')})}.value": v for k, v in typed.items()}
        return self.fire("launch-problem.children", LAUNCH, **{"launch.n_clicks": 1}, **values)


@pytest.fixture
def form(workspace: EnsembleStore, tmp_path: Path) -> Form:
    return Form(app_of(workspace, tmp_path / "cache", data_folders=(Path("/nowhere"),)), "/new")


def errors(answer: dict[str, Any]) -> dict[str, str]:
    found = {json.loads(k)["field"]: p["error"] for k, p in answer.items() if k.startswith("{")}
    return {path: text for path, text in found.items() if text}


def test_the_fields_hold_the_defaults_of_the_command() -> None:
    assert resolve(read_fields(initial_values())) == resolve({"model": {"architecture": "auto"}})


def test_another_ensemble_fills_the_form_in() -> None:
    spec = EnsembleSpec(
        name="mine", members=7, model=ModelConfig(widths=(9, 5), activation="tanh"), train=TrainConfig(beta=0.25)
    )
    again = resolve(read_fields(initial_values(spec)))
    assert again.key == spec.key
    assert again.name == "digits beta-vae β=0.25"


@pytest.mark.parametrize(
    ("objective", "typed", "sent"),
    [("dip-vae-i", {}, 100), ("dip-vae-ii", {}, 10), ("dip-vae-ii", {"lambda_od": "3"}, 3)],
)
def test_a_weight_that_is_left_empty_is_what_the_command_takes(objective: str, typed: dict, sent: float) -> None:
    told = {"objective": objective, **typed}
    for spec in (None, EnsembleSpec(train=TrainConfig(beta=0.5))):  # an ensemble of another objective has none of it
        values = initial_values(spec) | {f"train.{name}": value for name, value in told.items()}
        assert resolve(read_fields(values)).train.lambda_d == sent
    assert resolve({"train": told}).train.lambda_d == sent
    stored = EnsembleSpec(train=TrainConfig(objective="dip-vae-ii", lambda_d=100.0))
    assert resolve(read_fields(initial_values(stored))).key == stored.key


def test_every_setting_of_a_spec_has_a_field() -> None:
    def paths(content: dict[str, Any], before: str = "") -> set[str]:
        found = set()
        for name, value in content.items():
            found |= paths(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}"}
        return found

    # Code by name from a web page would be a hole in the wall.
    spec = EnsembleSpec(dataset=DatasetConfig(identifiers=("digit",)))
    assert set(FIELDS) == paths(spec.model_dump(mode="json")) - {"model.network"}


def test_only_the_coefficients_of_the_objective_are_asked_for(form: Form) -> None:
    chosen = {"field": "train.objective"}
    answer = form.fire(
        f"{Tab.name_of({'box': ['ALL']})}.hidden", (chosen, "value"), **{f"{Tab.name_of(chosen)}.value": "annealed-vae"}
    )
    hidden = {json.loads(place)["box"]: props["hidden"] for place, props in answer.items()}
    of_others = ("beta", "gamma_tc", "discriminator_widths", "discriminator_learning_rate", "lambda_od", "lambda_d")
    gone = {path for path, gone in hidden.items() if gone and path.startswith("train")}
    assert gone == {f"train.{name}" for name in of_others}
    assert not form.holding({"box": "train.beta"})["hidden"]
    assert form.holding({"box": "train.gamma"})["hidden"]


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("digits", {"dataset.path", "dataset.image_size"}),
        ("dsprites", {"dataset.image_size"}),
        ("npz", {"dataset.image_size"}),
        ("images", set()),
    ],
)
def test_only_what_the_data_set_takes_is_asked_for(form: Form, name: str, hidden: set[str]) -> None:
    chosen = {"field": "dataset.name"}
    answer = form.fire(
        f"{Tab.name_of({'box': ['ALL']})}.hidden", (chosen, "value"), **{f"{Tab.name_of(chosen)}.value": name}
    )
    boxes = {json.loads(place)["box"]: props["hidden"] for place, props in answer.items()}
    assert {path for path, gone in boxes.items() if gone and path.startswith("dataset")} == hidden
    assert form.holding({"box": "dataset.path"})["hidden"]  # of digits, as the form opens


def test_a_path_that_was_typed_for_another_data_set_is_left_out(form: Form, workspace: EnsembleStore) -> None:
    form.launch(dataset__path="/x", dataset__image_size=32, members=3)
    (job,) = JobStore(workspace.workspace).jobs()
    assert job.submission.request["dataset"] == {"name": "digits", "path": None, "image_size": None}


def test_identifiers_are_typed_between_commas_and_are_labels(form: Form, workspace: EnsembleStore) -> None:
    refused = form.launch(dataset__identifiers="digit, row")
    assert errors(refused) == {"dataset.identifiers": "Expected identifiers among the labels, digit, got 'row'."}
    form.launch(dataset__identifiers=" digit ,", members=3)
    (ensemble_id,) = workspace.ids()
    assert workspace.record(ensemble_id).spec.dataset.identifiers == ("digit",)


def test_what_was_typed_becomes_one_job_however_often_it_is_clicked(form: Form, workspace: EnsembleStore) -> None:
    answer = form.launch(train__beta=2.5, members=3, name="Twice")
    form.launch(train__beta=2.5, members=3, name="Twice")
    job_store = JobStore(workspace.workspace)
    (job,) = job_store.jobs()
    assert job.submission.title == "Twice"
    assert job.submission.request["train"]["beta"] == 2.5
    assert job.submission.who == "a browser at 127.0.0.1"
    assert answer["url"] == {"pathname": f"/ensemble/{job.submission.ensemble_id}", "search": ""}
    assert workspace.record(job.submission.ensemble_id).spec.members == 3


def test_the_sample_may_be_all_images(form: Form, workspace: EnsembleStore) -> None:
    form.launch(fingerprint__size=" all")
    (job,) = JobStore(workspace.workspace).jobs()
    assert job.submission.request["fingerprint"]["size"] == 1797


def test_a_list_of_one_coefficient_launches_a_sweep(form: Form, workspace: EnsembleStore) -> None:
    answer = form.launch(train__beta="1, 4", members=3)
    (sweep,) = SweepStore(workspace).sweeps()
    assert answer["url"] == {"pathname": f"/atlas/{sweep.id}", "search": ""}
    jobs = JobStore(workspace.workspace).jobs()
    assert {job.submission.ensemble_id for job in jobs} == set(sweep.ensembles)
    assert {job.submission.request["train"]["beta"] for job in jobs} == {1, 4}
    assert "In training" in Tab(form.app, answer["url"]["pathname"]).words


def test_lists_that_make_no_sweep_are_said_at_their_fields_and_hidden_ones_are_left_out(
    form: Form, workspace: EnsembleStore
) -> None:
    answer = form.launch(train__objective="dip-vae-i", train__beta="1, 4", train__lambda_d="1, 2", train__gamma="3, 4")
    assert set(errors(answer)) == {"train.beta", "train.lambda_d"}
    assert workspace.ids() == []
    form.launch(train__objective="dip-vae-i", train__beta="4", train__gamma="3, 4")
    assert len(workspace.ids()) == 1


def test_a_preset_fills_the_fields_and_what_they_become_is_the_preset(form: Form) -> None:
    answer = form.fire("preset-summary.children", ("preset", "value"), **{"preset.value": "locatello-2019"})
    assert "300,000 steps" in answer["preset-summary"]["children"]
    filled = {json.loads(k)["field"]: p["value"] for k, p in answer.items() if k.startswith("{")}
    assert resolve(read_fields(filled)).key == resolve(with_preset("locatello-2019", {})).key


def test_the_newer_settings_arrive_as_they_were_typed(form: Form, workspace: EnsembleStore) -> None:
    form.launch(
        train__objective="factor-vae",
        train__gamma_tc=35,
        train__discriminator_widths="50, 40",
        train__clip_gradient=5,
        train__precision="bfloat16",
        train__snapshots=8,
        model__likelihood="mse",
        dataset__name="sprites",
    )
    (ensemble_id,) = workspace.ids()
    spec = workspace.record(ensemble_id).spec
    assert (spec.train.title, spec.train.discriminator_widths) == ("factor-vae γ=35", (50, 40))
    assert (spec.train.clip_gradient, spec.train.snapshots, spec.model.likelihood) == (5.0, 8, "mse")
    assert spec.train.precision == "bfloat16"
    assert spec.model.architecture == "conv64"
    again = resolve(read_fields(initial_values(spec)))
    assert again.key == spec.key


@pytest.mark.parametrize("estimator", ["bound", "exact"])
def test_the_analysis_after_training_goes_by_the_estimator_chosen(
    form: Form, workspace: EnsembleStore, estimator: str
) -> None:
    form.fire("launch-problem.children", LAUNCH, **{"launch.n_clicks": 1, "estimator.value": estimator})
    (job,) = JobStore(workspace.workspace).jobs()
    assert job.submission.estimator == estimator
    words = Tab(form.app, f"/jobs/{job.id}").words
    assert {"bound": "analysed by the published bound", "exact": "analysed by exact integrals"}[estimator] in words


def test_no_estimator_is_made_up(form: Form, workspace: EnsembleStore) -> None:
    made_up = {"launch.n_clicks": 1, "estimator.value": "guess"}
    assert form.fire("launch-problem.children", LAUNCH, **made_up) == 204
    assert workspace.ids() == []


def test_a_page_takes_no_code_by_name(form: Form, workspace: EnsembleStore) -> None:
    made_up = form.holding({"field": "train.seed"})
    made_up |= {"id": {"field": "model.network"}, "value": "os.path:join"}
    assert form.launch() == 204
    assert workspace.ids() == []
    spec = EnsembleSpec(name="Mine", model=ModelConfig(network="mine.networks:Deep"))
    like = Tab(form.app, "/new", f"?from={workspace.create(spec).id}")
    assert "only the command line can ask for" in like.words


def test_each_field_says_what_is_wrong_with_it_and_nothing_is_begun(form: Form, workspace: EnsembleStore) -> None:
    typed = {"train__seed": "1.5", "train__steps": "many", "members": "", "fingerprint__size": "1"}
    answer = form.launch(train__beta="-1", model__widths="48, x", **typed)
    assert errors(answer) == {
        "train.beta": "Expected a value greater than or equal to 0, got -1.",
        "train.seed": "Expected a whole number, got 1.5.",
        "train.steps": "Expected a whole number, got 'many'.",
        "members": "Expected a whole number, got nothing.",
        "model.widths": "Expected a whole number, got 'x'.",
        "fingerprint.size": "Expected a value greater than or equal to 2, got 1.",
    }
    assert answer["more-settings"] == {"value": "more"}  # the widths are among them
    assert "url" not in answer
    assert JobStore(workspace.workspace).jobs() == []
    assert workspace.ids() == []


@pytest.mark.parametrize(
    ("typed", "field", "sentence"),
    [
        ({"fingerprint__size": 2000}, "fingerprint.size", "'digits' has 1,797"),
        ({"model__architecture": "conv28"}, "model.architecture", "expects images of 28×28 pixels, got 8×8"),
        ({"dataset__name": "circle"}, "model.likelihood", "Use the likelihood gaussian"),
        ({"dataset__name": "images"}, "dataset.path", "'images' needs a folder or a zip archive"),
        (
            {"dataset__name": "npz", "dataset__path": "/nowhere/x.npz"},
            "dataset.path",
            "There is no file /nowhere/x.npz",
        ),
        ({"dataset__name": "images", "dataset__image_size": 5}, "dataset.image_size", "greater than or equal to 8"),
        ({"dataset__name": "fashion-mnist", "dataset__path": "/nowhere"}, "dataset.path", "/nowhere"),
    ],
)
def test_what_does_not_fit_the_images_is_said_at_its_field(
    form: Form, typed: dict[str, Any], field: str, sentence: str
) -> None:
    found = errors(form.launch(**typed))
    assert list(found) == [field]
    assert sentence in found[field]


def write_images(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8))


def test_a_page_reads_data_from_its_folders_alone(workspace: EnsembleStore, tmp_path: Path) -> None:
    mine, secret = tmp_path / "mine", tmp_path / "other" / "secret.npz"
    form = Form(app_of(workspace, tmp_path / "cache", data_folders=(mine,)), "/new")
    own = workspace.workspace / "datasets" / "a.npz"
    for path in (own, mine / "b.npz", secret):
        write_images(path)
    (mine / "link.npz").symlink_to(secret)
    (mine / "inner").symlink_to(mine)
    (mine / "pictures").mkdir()
    (mine / "pictures" / "a.png").symlink_to(secret)
    (mine / "circle").symlink_to(mine / "circle")
    outside = [secret, secret.parent, tmp_path / "other" / "nothing.npz", mine / ".." / "other" / "secret.npz"]
    outside += [mine / "link.npz", mine / "circle", mine / "pictures", Path("/etc/passwd"), Path("/proc/self/environ")]
    sentences = set()
    for path in [*map(str, outside), "\0", "~", "a" * 5000]:
        for name in ("npz", "images", "mnist"):
            answer = form.launch(dataset__name=name, dataset__path=path, fingerprint__size=100)
            sentences |= set(errors(answer).values())
    (sentence,) = sentences  # the same, whether anything is there or not
    assert f"Pages read data sets only from {mine}, {own.parent} and" in sentence
    assert "secret" not in sentence
    assert JobStore(workspace.workspace).jobs() == []
    for path in (own, mine / "b.npz", mine / "inner" / "b.npz"):
        answer = form.launch(dataset__name="npz", dataset__path=str(path), fingerprint__size=100)
        assert not errors(answer)


def test_what_the_cache_keeps_of_peoples_own_files_is_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = data_folders(Settings(workspace=tmp_path / "w"))
    check_data_path(str(cache_folder("mnist")), folders)
    for name in ("npz", "images", ""):
        with pytest.raises(InvalidInputError, match="Pages read data sets only from"):
            check_data_path(str(cache_folder(name)), folders)


def test_folders_of_the_setting_are_separated_as_in_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAEFRAG_DATA_FOLDERS", f"/a{os.pathsep}/b c{os.pathsep}")
    assert load_settings().data_folders == (Path("/a"), Path("/b c"))


def test_what_was_trained_already_is_not_trained_again(trained: Trained, tmp_path: Path) -> None:
    form = Form(app_of(trained.store, tmp_path / "cache"), "/new", f"?from={trained.id}")
    assert "Filled in with the settings of Six members on digits." in form.words
    answer = form.launch()
    assert "exactly these settings has been trained" in text_of(answer["launch-problem"]["children"])
    assert "url" not in answer


def test_what_has_no_settings_fills_nothing_in(form: Form, workspace: EnsembleStore) -> None:
    assert "There is no ensemble 'x'" in Tab(form.app, "/new", "?from=x").words
    imported = workspace.add(Posteriors(np.zeros((2, 5, 3)), np.zeros((2, 5, 3))), "mine")
    assert "mine was imported: nothing is known" in Tab(form.app, "/new", f"?from={imported.id}").words


def test_a_web_process_never_imports_torch(workspace: EnsembleStore, tmp_path: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from webpages import Tab, app_of
from vaefrag_core.ensemble_store import EnsembleStore
from pathlib import Path
app = app_of(EnsembleStore({str(workspace.workspace)!r}), Path({str(tmp_path / "cache")!r}))
for path in ("/", "/jobs", "/new"): Tab(app, path)
answer = Tab(app, "/new").fire("launch-problem.children", ("launch", "n_clicks"), **{{"launch.n_clicks": 1}})
assert "/ensemble/" in answer["url"]["pathname"], answer
Tab(app, answer["url"]["pathname"])
print([m for m in ("torch", "distributed", "sklearn", "umap") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
