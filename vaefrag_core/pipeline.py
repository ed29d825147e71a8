"""The stages in order: train, encode, analyse. Start reading here.

    dataset → members (training) → posteriors (encoding) → matrix → hotspots → maps, stability,
    snapshots over training, traversals

Every stage reads what the stage before it left in the store and leaves its own result there, so any of them
can be stopped, repeated or resumed. Results are found again by the hash of what they were made from.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from vaefrag_core.artifacts import (
    Analysis,
    Atlas,
    ChannelMatrix,
    Hotspots,
    OverTraining,
    Posteriors,
    Snapshots,
    SpaceMatrix,
)
from vaefrag_core.config import AnalysisConfig, AtlasConfig, EnsembleSpec, HotspotConfig, Measure, SpaceConfig
from vaefrag_core.datasets.catalog import dataset_size, load_dataset, points_of
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.encoding import encode_members
from vaefrag_core.ensemble_store import AnalysisIndex, EnsembleStore
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError
from vaefrag_core.restored_members import encode_snapshots, restorable_steps, restore_networks
from vaefrag_core.restored_members import trained_members as trained_members
from vaefrag_core.spec_validation import resolve as resolve
from vaefrag_core.structure.atlas import SweepEnsemble, draw_atlas
from vaefrag_core.structure.atlas_over_training import TrainingHistory, shared_steps, with_lineages_of
from vaefrag_core.structure.channel_maps import map_channels
from vaefrag_core.structure.hotspot_stability import hotspot_stability
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.over_training import follow_training
from vaefrag_core.structure.space_comparison import compare_spaces
from vaefrag_core.sweeps import SweepStore, step_folder
from vaefrag_core.synthesis.traversals import traverse_members
from vaefrag_core.training.checkpoints import MemberStatus, member_statuses
from vaefrag_core.training.ensemble_training import train_ensemble

MEASURES: tuple[Measure, ...] = ("nmi", "vi")
RESULTS_FORMAT = 4  # raised when a stage computes something else from the same inputs

Stage = Literal["compare", "hotspots", "maps", "stability", "over-training", "traversals", "spaces", "atlas"]
OnStage = Callable[[Stage, float], None]


def train(
    spec: EnsembleSpec,
    store: EnsembleStore,
    *,
    on_progress: Callable[[Sequence[MemberStatus]], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[MemberStatus]:
    """Train an ensemble in this process, or what is still missing of it, and encode its fingerprint sample.

    Args:
        spec: of the ensemble, from `resolve`. Equal specs are the same ensemble: training goes on where it stopped.
        store: where it lives.
        on_progress: called with the state of all members whenever some have moved.
        should_stop: asked between slices of training.

    Returns:
        The state of every member. When none is left to train, the posteriors have been written.

    Raises:
        BusyError: when another process is training the same ensemble.
    """
    record = store.create(spec)
    with store.lock(record.id):
        statuses = train_ensemble(
            spec, store.members_folder(record.id), on_progress=on_progress, should_stop=should_stop
        )
        if all(status.state in ("done", "failed") for status in statuses):
            encode(record.id, store)
    return statuses


def encode(ensemble_id: str, store: EnsembleStore) -> Posteriors:
    """Encode the fingerprint sample with every member that is done.

    Raises:
        MissingDataError: when no member is done.
    """
    spec = store.record(ensemble_id).spec
    dataset = load_dataset(spec.dataset)
    members = restore_networks(ensemble_id, store, dataset.image_shape)
    if not members:
        states = member_statuses(store.members_folder(ensemble_id), spec.members)
        reasons = [status.message for status in states if status.message]
        raise MissingDataError(
            f"No member of {ensemble_id} has been trained to the end, so there is nothing to encode."
            f" {reasons[0] if reasons else 'Repeat `vaefrag train` with the same settings.'}"
        )
    posteriors = encode_members(dataset, draw_fingerprint(dataset, spec.fingerprint), members)
    store.save_posteriors(ensemble_id, posteriors)
    return posteriors


def analyze(
    ensemble_id: str,
    store: EnsembleStore,
    config: AnalysisConfig | None = None,
    *,
    on_stage: OnStage = lambda stage, share: None,
) -> Analysis:
    """Compare the channels of an ensemble, find its hotspots, map them and paint its traversals.

    Both measures are worked out, so that the pages can switch; `config.hotspots.measure` is the one asked for.
    What has been computed before from the same posteriors and settings is not computed again.

    Args:
        ensemble_id: an ensemble with posteriors.
        store: where it lives.
        config: settings of every stage.
        on_stage: called with the stage at work and the share of it that is done.

    Raises:
        MissingDataError: when there is no such ensemble, or no posteriors yet.
    """
    config = config or AnalysisConfig()
    posteriors = store.posteriors(ensemble_id)
    source = {"format": RESULTS_FORMAT, "posteriors": posteriors.key}

    def compare(folder: Path) -> None:
        known = _matrix_shown(ensemble_id, store)
        found = compare_channels(posteriors, earlier=known, on_progress=lambda done, n: on_stage("compare", done / n))
        found.save(folder)

    on_stage("compare", 0.0)
    matrix_folder = store.artifact(ensemble_id, "matrix", source, compare)
    matrix = ChannelMatrix.load(matrix_folder)
    hotspots: dict[Measure, Path] = {}
    maps: dict[Measure, str] = {}
    for position, measure in enumerate(MEASURES):
        chosen = config.hotspots.model_copy(update={"measure": measure})
        inputs = source | {"hotspots": chosen.model_dump(mode="json")}
        on_stage("hotspots", position / len(MEASURES))
        find = partial(_save_hotspots, matrix, chosen, posteriors)
        hotspots[measure] = store.artifact(ensemble_id, "hotspots", inputs, find)
        inputs |= {"map": config.map.model_dump(mode="json")}
        on_stage("maps", position / len(MEASURES))
        lay_out = partial(_save_map, matrix, chosen, config)
        maps[measure] = store.artifact(ensemble_id, "map", inputs, lay_out).name
    stability = None
    if config.bootstrap.resamples:
        on_stage("stability", 0.0)
        settings = config.model_dump(mode="json", include={"hotspots": {*HotspotConfig.model_fields} - {"measure"}})
        inputs = source | settings | {"bootstrap": config.bootstrap.model_dump(mode="json")}
        resample = partial(_save_stability, posteriors, matrix, hotspots, config, on_stage)
        stability = store.artifact(ensemble_id, "stability", inputs, resample).name
    over_training = _over_training(ensemble_id, store, posteriors, matrix, config.hotspots, on_stage)
    on_stage("traversals", 0.0)
    traversals = None
    if posteriors.images is not None and trained_members(ensemble_id, store):  # else there is nothing to paint with
        inputs = source | {"traversals": config.traversals.model_dump(mode="json")}
        paint = partial(_save_traversals, ensemble_id, store, posteriors, config)
        traversals = store.artifact(ensemble_id, "traversals", inputs, paint).name
    on_stage("traversals", 1.0)
    store.save_analysis_index(
        ensemble_id,
        AnalysisIndex(
            config=config,
            posteriors_key=posteriors.key,
            matrix=matrix_folder.name,
            hotspots={measure: folder.name for measure, folder in hotspots.items()},
            maps=maps,
            traversals=traversals,
            stability=stability,
            over_training=over_training,
        ),
    )
    return store.analysis(ensemble_id)


def analyze_spaces(
    ensemble_id: str,
    store: EnsembleStore,
    config: SpaceConfig | None = None,
    *,
    on_stage: OnStage = lambda stage, share: None,
) -> SpaceMatrix:
    """Compare the members of an ensemble by their whole latent spaces, or read what was found before.

    Args:
        ensemble_id: an ensemble with posteriors.
        store: where it lives.
        config: draws and seed.
        on_stage: called with "spaces" and the share of it that is done.

    Raises:
        MissingDataError: when there is no such ensemble, or no posteriors yet.
    """
    config = config or SpaceConfig()
    posteriors = store.posteriors(ensemble_id)

    def compare(folder: Path) -> None:
        compare_spaces(posteriors, config, on_progress=lambda done, n: on_stage("spaces", done / n)).save(folder)

    on_stage("spaces", 0.0)
    return SpaceMatrix.load(store.artifact(ensemble_id, "spaces", _space_inputs(posteriors.key, config), compare))


def follow_hotspots(
    sweep_id: str,
    store: EnsembleStore,
    config: AtlasConfig | None = None,
    *,
    on_stage: OnStage = lambda stage, share: None,
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
    sources, stops, spaces, courses = {}, [], [], []
    for value, ensemble_id in zip(sweep.values, sweep.ensembles, strict=True):
        try:
            index, posteriors = store.analysis_index(ensemble_id), store.posteriors(ensemble_id)
        except MissingDataError:
            continue
        if posteriors.key != index.posteriors_key:
            continue  # members have been added, whose analysis is still to come
        folder = store.artifact_folder(ensemble_id, "spaces", _space_inputs(posteriors.key, SpaceConfig()))
        whole = SpaceMatrix.load(folder) if folder.is_dir() else None
        found = _shown(ensemble_id, store, index, config.measure)
        sources[ensemble_id] = index.key
        spaces.append(whole is not None)
        stops.append(SweepEnsemble.at_end(value, ensemble_id, posteriors, found, whole))
        courses.append(_course(ensemble_id, store, index, config.measure))
    if not stops:
        raise MissingDataError(
            f"No ensemble of sweep {sweep_id} has been analysed yet. Repeat the `vaefrag train` that began it, or"
            " analyse them one by one."
        )

    def draw(folder: Path) -> None:
        steps = shared_steps(courses)
        parts = max(len(steps), 1)
        end = draw_atlas(stops, config, on_progress=lambda done, total: on_stage("atlas", done / total / parts))
        for s, step in enumerate(steps[:-1], start=1):
            on_stage("atlas", s / parts)
            then = [course.at(step, stop) for course, stop in zip(courses, stops, strict=True) if course]
            at_step = folder / step_folder(step)
            at_step.mkdir()
            with_lineages_of(draw_atlas(then, config), end).save(at_step)
        replace(end, steps=steps).save(folder)

    on_stage("atlas", 0.0)
    inputs = {"format": RESULTS_FORMAT, "sources": sources, "spaces": spaces, "atlas": config.model_dump(mode="json")}
    return sweeps.keep_atlas(sweep_id, inputs, sources, draw)


def renew_atlases(ensemble_id: str, store: EnsembleStore, *, on_stage: OnStage = lambda stage, share: None) -> None:
    """Draw the atlases of all sweeps that an ensemble is part of: for after its analysis.

    What is wrong with one of them is left for whoever asks for it: the analysis itself has not failed.
    """
    for sweep in SweepStore(store).of_ensemble(ensemble_id):
        with suppress(BrokenFileError, InvalidInputError, MissingDataError):
            follow_hotspots(sweep.id, store, on_stage=on_stage)


def _space_inputs(posteriors_key: str, config: SpaceConfig) -> dict[str, object]:
    return {"format": RESULTS_FORMAT, "posteriors": posteriors_key, "spaces": config.model_dump(mode="json")}


def _snapshot_inputs(posteriors_key: str, steps: tuple[int, ...]) -> dict[str, object]:
    return {"format": RESULTS_FORMAT, "posteriors": posteriors_key, "steps": steps}


def _shown(
    ensemble_id: str, store: EnsembleStore, index: AnalysisIndex, measure: Measure
) -> tuple[ChannelMatrix, Hotspots]:
    """Read the matrix and the hotspots of one analysis, the newest or one that was the newest a moment ago."""
    folder = store.folder(ensemble_id) / "analysis"
    try:
        return ChannelMatrix.load(folder / index.matrix), Hotspots.load(folder / index.hotspots[measure])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenFileError(
            f"The analysis of {ensemble_id} cannot be read ({error}). Delete {folder} and run"
            f" `vaefrag analyze {ensemble_id}`."
        ) from error


def _course(ensemble_id: str, store: EnsembleStore, index: AnalysisIndex, measure: Measure) -> TrainingHistory | None:
    """Read how an ensemble became what it is; None where that is not known, or its hotspots are by another measure."""
    if index.over_training is None or index.config.hotspots.measure != measure:
        return None
    found = OverTraining.load(store.folder(ensemble_id) / "analysis" / index.over_training)
    inputs = _snapshot_inputs(index.posteriors_key, tuple(found.steps.tolist()))
    folder = store.artifact_folder(ensemble_id, "snapshots", inputs)
    return TrainingHistory(Snapshots.load(folder), found) if found.groups and folder.is_dir() else None


def _matrix_shown(ensemble_id: str, store: EnsembleStore) -> ChannelMatrix | None:
    """Give the matrix of the newest analysis, most of which holds when members have been added since."""
    try:
        index = store.analysis_index(ensemble_id)
    except (MissingDataError, BrokenFileError):
        return None
    source = {"format": RESULTS_FORMAT, "posteriors": index.posteriors_key}
    folder = store.artifact_folder(ensemble_id, "matrix", source)
    return ChannelMatrix.load(folder) if folder.is_dir() else None


def _save_hotspots(matrix: ChannelMatrix, config: HotspotConfig, posteriors: Posteriors, folder: Path) -> None:
    find_hotspots(matrix, config, posteriors=posteriors).save(folder)


def _save_map(matrix: ChannelMatrix, hotspots: HotspotConfig, config: AnalysisConfig, folder: Path) -> None:
    map_channels(matrix, hotspots, config.map).save(folder)


def _save_stability(
    posteriors: Posteriors,
    matrix: ChannelMatrix,
    hotspots: dict[Measure, Path],
    config: AnalysisConfig,
    on_stage: OnStage,
    folder: Path,
) -> None:
    found = {measure: Hotspots.load(path) for measure, path in hotspots.items()}
    stability = hotspot_stability(
        posteriors,
        matrix,
        found,
        config.hotspots,
        config.bootstrap,
        on_progress=lambda done, total: on_stage("stability", done / total),
    )
    for measure, of_measure in stability.items():
        (folder / measure).mkdir()
        of_measure.save(folder / measure)


def _over_training(
    ensemble_id: str,
    store: EnsembleStore,
    posteriors: Posteriors,
    matrix: ChannelMatrix,
    config: HotspotConfig,
    on_stage: OnStage,
) -> str | None:
    """Follow channels over training and name the result; None where no snapshots were kept."""
    steps = restorable_steps(ensemble_id, store, posteriors)
    if not steps:
        return None
    stage: Stage = "over-training"
    source = _snapshot_inputs(posteriors.key, steps)

    def encode_all(folder: Path) -> None:
        encode_snapshots(ensemble_id, store, posteriors, on_step=lambda: on_stage(stage, 0.0)).save(folder)

    def follow(folder: Path) -> None:
        snapshots = Snapshots.load(store.artifact(ensemble_id, "snapshots", source, encode_all))
        found = follow_training(
            snapshots, posteriors, matrix, config, on_progress=lambda done, n: on_stage(stage, done / n)
        )
        found.save(folder)

    on_stage(stage, 0.0)
    # "holds" parts it from results of earlier versions, which counted hotspots and did not keep them
    settings = source | {"hotspots": config.model_dump(mode="json"), "holds": "groups"}
    return store.artifact(ensemble_id, stage, settings, follow).name


def _save_traversals(
    ensemble_id: str, store: EnsembleStore, posteriors: Posteriors, config: AnalysisConfig, folder: Path
) -> None:
    dataset = store.record(ensemble_id).spec.dataset
    points = points_of(dataset)
    if points is None:  # the sample tells the shape, even when the data set has been moved away since
        height, width, *image_channels = posteriors.images.shape[1:]
        shape = (height, width, image_channels[0] if image_channels else 1)
    else:
        _, shape = dataset_size(dataset)
    members = restore_networks(ensemble_id, store, shape)
    traverse_members(posteriors, members, config.traversals, draw=points.draw if points else None).save(folder)
