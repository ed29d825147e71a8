"""The atlas of a sweep: the last stage of an analysis, over all ensembles of the sweep that have been analysed."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vaefrag_core.artifacts import Atlas, ChannelMatrix, Hotspots, OverTraining, Snapshots, SpaceMatrix
from vaefrag_core.config import AtlasConfig, Measure, SpaceConfig
from vaefrag_core.ensemble_store import AnalysisIndex, EnsembleStore
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError
from vaefrag_core.result_inputs import RESULTS_FORMAT, OnStage, ignore_stage, snapshot_inputs, space_inputs
from vaefrag_core.structure.atlas import SweepEnsemble, draw_atlas
from vaefrag_core.structure.atlas_over_training import TrainingHistory, shared_steps, threaded_like
from vaefrag_core.sweeps import SweepStore, step_folder


def follow_hotspots(
    sweep_id: str,
    store: EnsembleStore,
    config: AtlasConfig | None = None,
    *,
    on_stage: OnStage = ignore_stage,
) -> Atlas:
    """Draw the atlas of a sweep over those of its ensembles that have been analysed, or read what was drawn before.

    Where all of them have kept snapshots, it is drawn as well at each step of training before the end.

    Args:
        sweep_id: the sweep.
        store: where its ensembles live.
        config: whose hotspots, and from which NMI on they are linked.
        on_stage: called with "atlas" and the share of it that is done.

    Raises:
        MissingDataError: when there is no such sweep, or none of its ensembles has been analysed.
        InvalidInputError: when its ensembles were not encoded on one fingerprint sample.
    """
    config = config or AtlasConfig()
    sweeps = SweepStore(store)
    sweep = sweeps.sweep(sweep_id)
    analysis_keys: dict[str, str] = {}
    ensembles: list[SweepEnsemble] = []
    with_spaces: list[bool] = []
    histories: list[TrainingHistory | None] = []
    for value, ensemble_id in zip(sweep.values, sweep.ensembles, strict=True):
        try:
            index, posteriors = store.analysis_index(ensemble_id), store.posteriors(ensemble_id)
        except MissingDataError:
            continue
        if posteriors.key != index.posteriors_key:
            continue  # members have been added, whose analysis is still to come
        spaces = _spaces(ensemble_id, store, posteriors.key)
        analysis_keys[ensemble_id] = index.key
        with_spaces.append(spaces is not None)
        analysis = _matrix_and_hotspots(ensemble_id, store, index, config.measure)
        ensembles.append(SweepEnsemble.at_end(value, ensemble_id, posteriors, analysis, spaces))
        histories.append(_training_history(ensemble_id, store, index, config.measure))
    if not ensembles:
        raise MissingDataError(
            f"No ensemble of sweep {sweep_id} has been analysed yet. Repeat the `vaefrag train` that began it, or"
            " analyse them one by one."
        )

    def draw(folder: Path) -> None:
        steps = shared_steps(histories)
        parts = max(len(steps), 1)
        end = draw_atlas(ensembles, config, on_progress=lambda done, total: on_stage("atlas", done / total / parts))
        for s, step in enumerate(steps[:-1], start=1):
            on_stage("atlas", s / parts)
            at_step = [
                history.at(step, ensemble) for history, ensemble in zip(histories, ensembles, strict=True) if history
            ]
            step_atlas = threaded_like(draw_atlas(at_step, config), end)
            (folder / step_folder(step)).mkdir()
            step_atlas.save(folder / step_folder(step))
        replace(end, steps=steps).save(folder)

    on_stage("atlas", 0.0)
    inputs = {
        "format": RESULTS_FORMAT,
        "sources": analysis_keys,
        "spaces": with_spaces,
        "atlas": config.model_dump(mode="json"),
    }
    return sweeps.keep_atlas(sweep_id, inputs, analysis_keys, draw)


def renew_atlases(ensemble_id: str, store: EnsembleStore, *, on_stage: OnStage = ignore_stage) -> None:
    """Draw the atlases of all sweeps that an ensemble is part of: for after its analysis.

    What is wrong with one of them is left for whoever asks for it: the analysis itself has not failed.
    """
    for sweep in SweepStore(store).of_ensemble(ensemble_id):
        with suppress(BrokenFileError, InvalidInputError, MissingDataError):
            follow_hotspots(sweep.id, store, on_stage=on_stage)


def _spaces(ensemble_id: str, store: EnsembleStore, posteriors_key: str) -> SpaceMatrix | None:
    """Read the comparison of whole latent spaces; None where there is none."""
    folder = store.artifact_folder(ensemble_id, "spaces", space_inputs(posteriors_key, SpaceConfig()))
    if not folder.is_dir():
        return None
    return store.load_artifact(ensemble_id, SpaceMatrix.load, folder, options="--space full")


def _matrix_and_hotspots(
    ensemble_id: str, store: EnsembleStore, index: AnalysisIndex, measure: Measure
) -> tuple[ChannelMatrix, Hotspots]:
    """Read matrix and hotspots of one analysis, the newest or one that was the newest a moment ago."""
    folder = store.folder(ensemble_id) / "analysis"
    return (
        store.load_artifact(ensemble_id, ChannelMatrix.load, folder / index.matrix),
        store.load_artifact(ensemble_id, Hotspots.load, folder / index.hotspots[measure]),
    )


def _training_history(
    ensemble_id: str, store: EnsembleStore, index: AnalysisIndex, measure: Measure
) -> TrainingHistory | None:
    """Read an ensemble at its steps of training; None where it kept none, or has hotspots by another measure there."""
    if index.over_training is None or index.config.hotspots.measure != measure:
        return None
    folder = store.folder(ensemble_id) / "analysis" / index.over_training
    over_training = store.load_artifact(ensemble_id, OverTraining.load, folder)
    inputs = snapshot_inputs(index.posteriors_key, over_training.steps.tolist())
    folder = store.artifact_folder(ensemble_id, "snapshots", inputs)
    if not over_training.groups or not folder.is_dir():
        return None
    return TrainingHistory(store.load_artifact(ensemble_id, Snapshots.load, folder), over_training)
