"""The stages of every job, in order. Start reading here.

    training job    train_group          dataset → members, one group of them for each worker
    analysis job    update_posteriors    members → posteriors on the fingerprint sample
                    analyze              posteriors → matrix → hotspots → maps, stability, over training, traversals
                    renew_atlases        analyses of a sweep → atlas          (atlas_pipeline)
    fusion job      fuse_ensemble        posteriors → fused space, encoder    (fusion_pipeline)

What chance and other axes show of hotspots (`null_pipeline`) is asked for by a command, `vaefrag null`.

Jobs run in worker processes (`vaefrag.jobs.worker`), scripts call the same stages; `train` runs those of a training job
one after the other in this process. Every stage reads what the stage before it left in the store and leaves its own
result there, so any of them can be stopped, repeated or resumed. Results are found again by the hash of their inputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vaefrag_core.artifacts import Analysis, ChannelMatrix, Hotspots, Posteriors, Snapshots, SpaceMatrix
from vaefrag_core.atlas_pipeline import follow_hotspots as follow_hotspots
from vaefrag_core.atlas_pipeline import renew_atlases as renew_atlases
from vaefrag_core.config import AnalysisConfig, EnsembleSpec, HotspotConfig, Measure, SpaceConfig
from vaefrag_core.datasets.catalog import dataset_identifiers, dataset_size, load_dataset, point_format
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.encoding import encode_members
from vaefrag_core.ensemble_store import AnalysisIndex, EnsembleStore
from vaefrag_core.errors import BrokenFileError, MissingDataError
from vaefrag_core.null_pipeline import run_null_tests as run_null_tests
from vaefrag_core.null_pipeline import stored_null_tests
from vaefrag_core.restored_members import encode_snapshots, restorable_steps, restore_networks, with_diverged
from vaefrag_core.restored_members import trained_members as trained_members
from vaefrag_core.result_inputs import (
    OnStage,
    Stage,
    hotspot_inputs,
    ignore_stage,
    matrix_inputs,
    result_inputs,
    snapshot_inputs,
    space_inputs,
)
from vaefrag_core.spec_validation import resolve as resolve
from vaefrag_core.structure.channel_maps import map_channels
from vaefrag_core.structure.hotspot_recurrence import hotspot_recurrence
from vaefrag_core.structure.hotspot_stability import hotspot_stability
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.label_information import with_unbinned_labels
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.over_training import follow_training
from vaefrag_core.structure.sampling_errors import corrected_nmi_inside
from vaefrag_core.structure.space_comparison import compare_spaces
from vaefrag_core.synthesis.traversals import traverse_members
from vaefrag_core.training.checkpoints import MemberStatus, member_statuses
from vaefrag_core.training.ensemble_training import train_ensemble
from vaefrag_core.training.ensemble_training import train_group as train_group

MEASURES: tuple[Measure, ...] = ("nmi", "vi")


def train(
    spec: EnsembleSpec,
    store: EnsembleStore,
    *,
    on_progress: Callable[[Sequence[MemberStatus]], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_stage: OnStage = ignore_stage,
) -> list[MemberStatus]:
    """Train an ensemble in this process, or what is still missing of it, and encode its fingerprint sample.

    Args:
        spec: the ensemble, from `resolve`. Equal specs are the same ensemble: training goes on where it stopped.
        store: where it lives.
        on_progress: called with the status of all members whenever some have moved.
        should_stop: asked between slices of training.
        on_stage: called with "encode" and the share of the encoding that is done.

    Returns:
        The status of every member. When none is left to train, the posteriors have been written.

    Raises:
        BusyError: when another process is training the same ensemble.
    """
    record = store.create(spec)
    with store.lock(record.id):
        statuses = train_ensemble(
            spec, store.members_folder(record.id), on_progress=on_progress, should_stop=should_stop
        )
        if all(status.state in ("done", "failed") for status in statuses):
            encode(record.id, store, on_stage=on_stage)
    return statuses


def update_posteriors(ensemble_id: str, store: EnsembleStore, *, on_stage: OnStage = ignore_stage) -> Posteriors:
    """Return the posteriors of an ensemble, encoded again when members have been trained since.

    Labels are declared identifiers, or are so no longer, as the ensemble's spec says now.

    Args:
        ensemble_id: the ensemble.
        store: where it lives.
        on_stage: called with "encode" and the share of it that is done.

    Raises:
        MissingDataError: when there are none, and no member is done that could be encoded.
    """
    trained = trained_members(ensemble_id, store)  # none of an imported ensemble: its posteriors stay as they came
    try:
        posteriors = sound_posteriors(ensemble_id, store, on_stage=on_stage)
    except MissingDataError:
        return encode(ensemble_id, store, on_stage=on_stage)
    if not trained:
        return posteriors
    if trained != set(posteriors.member_ids.tolist()):
        return encode(ensemble_id, store, on_stage=on_stage)
    return _with_identifiers_of_spec(ensemble_id, store, posteriors)


def _with_identifiers_of_spec(ensemble_id: str, store: EnsembleStore, posteriors: Posteriors) -> Posteriors:
    """Return posteriors whose identifiers are those of the ensemble's spec, written anew where they were others."""
    dataset = store.record(ensemble_id).spec.dataset
    if set(dataset.identifiers) == set(posteriors.identifiers):
        return posteriors
    names = dataset_identifiers(dataset)  # a spec that was not resolved lacks those that the file names
    if set(names) != set(posteriors.identifiers):
        store.save_posteriors(ensemble_id, posteriors.with_identifiers(names))
    return store.posteriors(ensemble_id)


def sound_posteriors(ensemble_id: str, store: EnsembleStore, *, on_stage: OnStage = ignore_stage) -> Posteriors:
    """Return the posteriors of an ensemble, compared with their checksums; damaged ones are encoded again.

    Args:
        ensemble_id: the ensemble.
        store: where it lives.
        on_stage: called with "encode" and the share of it that is done, where that is needed.

    Raises:
        MissingDataError: when there are none.
        BrokenFileError: when they are damaged and there are no members to encode them by, as of an imported ensemble.
    """
    try:
        return store.posteriors(ensemble_id, checked=True)
    except BrokenFileError:
        if not trained_members(ensemble_id, store):
            raise
        return encode(ensemble_id, store, on_stage=on_stage)


def encode(ensemble_id: str, store: EnsembleStore, *, on_stage: OnStage = ignore_stage) -> Posteriors:
    """Encode the fingerprint sample with every member that is done.

    Whatever the size of the sample, a batch of images is in memory at a time; the rest is on the workspace's disk,
    in files without a name until the posteriors are whole.

    Args:
        ensemble_id: the ensemble.
        store: where it lives.
        on_stage: called with "encode" and the share of it that is done.

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
    scratch = store.folder(ensemble_id)
    posteriors = encode_members(
        dataset,
        draw_fingerprint(dataset, spec.fingerprint, scratch=scratch),
        members,
        scratch=scratch,
        on_progress=lambda done, n: on_stage("encode", done / n),
    )
    store.save_posteriors(ensemble_id, posteriors)
    return store.posteriors(ensemble_id)


def analyze(
    ensemble_id: str,
    store: EnsembleStore,
    config: AnalysisConfig | None = None,
    *,
    device: str = "cpu",
    on_stage: OnStage = ignore_stage,
) -> Analysis:
    """Compare the channels of an ensemble, find its hotspots, map them and paint its traversals.

    Both measures are evaluated, so that the pages can switch; `config.hotspots.measure` is the one they open with.
    What has been computed before from the same posteriors and settings is not computed again.

    Args:
        ensemble_id: an ensemble with posteriors.
        store: where it lives.
        config: settings of every stage.
        device: where exact information is compared; no part of what names a result.
        on_stage: called with the stage at work and the share of it that is done.

    Raises:
        MissingDataError: when there is no such ensemble, or no posteriors yet.
    """
    config = config or AnalysisConfig()
    posteriors = with_diverged(ensemble_id, store, sound_posteriors(ensemble_id, store, on_stage=on_stage))
    source, estimator = result_inputs(posteriors.key), config.hotspots.estimator

    def compare(folder: Path) -> None:
        earlier = _earlier_matrix(ensemble_id, store)
        compared = compare_channels(
            posteriors,
            estimator=estimator,
            earlier=earlier,
            device=device if estimator == "exact" else "cpu",
            errors=True,
            on_progress=lambda done, n: on_stage("compare", done / n),
        )
        with_unbinned_labels(compared, posteriors, HotspotConfig().min_bits).save(folder)

    on_stage("compare", 0.0)
    matrix_folder = store.artifact(ensemble_id, "matrix", matrix_inputs(posteriors.key, estimator), compare)
    matrix = store.load_artifact(ensemble_id, ChannelMatrix.load, matrix_folder)
    hotspots: dict[Measure, Path] = {}
    maps: dict[Measure, str] = {}
    for position, measure in enumerate(MEASURES):
        by_measure = config.hotspots.model_copy(update={"measure": measure})
        inputs = hotspot_inputs(posteriors.key, by_measure)
        on_stage("hotspots", position / len(MEASURES))
        find = partial(_save_hotspots, matrix, by_measure, posteriors)
        hotspots[measure] = store.artifact(ensemble_id, "hotspots", inputs, find)
        inputs |= {"map": config.map.model_dump(mode="json")}
        on_stage("maps", position / len(MEASURES))
        lay_out = partial(_save_map, matrix, by_measure, config)
        maps[measure] = store.artifact(ensemble_id, "map", inputs, lay_out).name
    found = {m: store.load_artifact(ensemble_id, Hotspots.load, folder) for m, folder in hotspots.items()}
    measure = config.hotspots.measure  # the other one's errors are not shown, and take as long
    save_inside = partial(_save_inside, posteriors, matrix, found[measure])
    inputs = hotspot_inputs(posteriors.key, config.hotspots)
    inside = store.artifact(ensemble_id, "inside", inputs, save_inside).name
    stability = None
    if config.bootstrap.resamples:
        on_stage("stability", 0.0)
        # One result holds the stability by both measures, whichever is shown first.
        settings = config.model_dump(mode="json", include={"hotspots": {*HotspotConfig.model_fields} - {"measure"}})
        inputs = source | settings | {"bootstrap": config.bootstrap.model_dump(mode="json")}
        resample = partial(_save_stability, posteriors, matrix, found, config, on_stage)
        stability = store.artifact(ensemble_id, "stability", inputs, resample).name
    over_training = _over_training(ensemble_id, store, posteriors, matrix, config.hotspots, on_stage)
    on_stage("traversals", 0.0)
    traversals = None
    if posteriors.images is not None and trained_members(ensemble_id, store):  # else there is nothing to paint with
        inputs = source | {"traversals": config.traversals.model_dump(mode="json")}
        paint = partial(_save_traversals, ensemble_id, store, posteriors, config)
        traversals = store.artifact(ensemble_id, "traversals", inputs, paint).name
    on_stage("traversals", 1.0)
    # Written last: pages open what the index names, and so never a part of an analysis.
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
            null_tests=stored_null_tests(ensemble_id, store, posteriors.key, config.hotspots),
            inside=inside,
        ),
    )
    return store.analysis(ensemble_id)


def analyze_spaces(
    ensemble_id: str,
    store: EnsembleStore,
    config: SpaceConfig | None = None,
    *,
    on_stage: OnStage = ignore_stage,
) -> SpaceMatrix:
    """Compare the members of an ensemble by their whole latent spaces, or read an earlier comparison.

    Args:
        ensemble_id: an ensemble with posteriors.
        store: where it lives.
        config: draws and seed.
        on_stage: called with "spaces" and the share of it that is done.

    Raises:
        MissingDataError: when there is no such ensemble, or no posteriors yet.
    """
    config = config or SpaceConfig()
    posteriors = sound_posteriors(ensemble_id, store, on_stage=on_stage)

    def compare(folder: Path) -> None:
        compare_spaces(posteriors, config, on_progress=lambda done, n: on_stage("spaces", done / n)).save(folder)

    on_stage("spaces", 0.0)
    folder = store.artifact(ensemble_id, "spaces", space_inputs(posteriors.key, config), compare)
    return store.load_artifact(ensemble_id, SpaceMatrix.load, folder, options="--space full")


def _earlier_matrix(ensemble_id: str, store: EnsembleStore) -> ChannelMatrix | None:
    """Return the matrix of the newest analysis, most of which holds when members have been added since."""
    try:
        index = store.analysis_index(ensemble_id)
        inputs = matrix_inputs(index.posteriors_key, index.config.hotspots.estimator)
        folder = store.artifact_folder(ensemble_id, "matrix", inputs)
        return ChannelMatrix.load(folder) if folder.is_dir() else None
    except (MissingDataError, BrokenFileError):
        return None  # it only saves time: what it holds can be computed again


def _save_hotspots(matrix: ChannelMatrix, config: HotspotConfig, posteriors: Posteriors, folder: Path) -> None:
    hotspots = find_hotspots(matrix, config, posteriors=posteriors)
    replace(hotspots, recurrence=hotspot_recurrence(matrix, hotspots, config)).save(folder)


def _save_inside(posteriors: Posteriors, matrix: ChannelMatrix, hotspots: Hotspots, folder: Path) -> None:
    corrected_nmi_inside(posteriors, matrix, hotspots).save(folder)


def _save_map(matrix: ChannelMatrix, hotspots: HotspotConfig, config: AnalysisConfig, folder: Path) -> None:
    map_channels(matrix, hotspots, config.map).save(folder)


def _save_stability(
    posteriors: Posteriors,
    matrix: ChannelMatrix,
    hotspots: dict[Measure, Hotspots],
    config: AnalysisConfig,
    on_stage: OnStage,
    folder: Path,
) -> None:
    stability = hotspot_stability(
        posteriors,
        matrix,
        hotspots,
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
    source = snapshot_inputs(posteriors.key, steps)

    def encode_all(folder: Path) -> None:
        encode_snapshots(ensemble_id, store, posteriors, on_step=lambda: on_stage(stage, 0.0)).save(folder)

    def follow(folder: Path) -> None:
        encoded = store.artifact(ensemble_id, "snapshots", source, encode_all)
        snapshots = store.load_artifact(ensemble_id, Snapshots.load, encoded)
        follow_training(
            snapshots, posteriors, matrix, config, on_progress=lambda done, n: on_stage(stage, done / n)
        ).save(folder)

    on_stage(stage, 0.0)
    # "holds" parts it from results of earlier versions, which counted hotspots and did not keep them
    settings = source | {"hotspots": config.model_dump(mode="json"), "holds": "groups"}
    return store.artifact(ensemble_id, stage, settings, follow).name


def _save_traversals(
    ensemble_id: str, store: EnsembleStore, posteriors: Posteriors, config: AnalysisConfig, folder: Path
) -> None:
    dataset = store.record(ensemble_id).spec.dataset
    points = point_format(dataset)
    if points is None:  # the sample tells the shape, even when the data set has been moved away since
        assert posteriors.images is not None
        height, width, *image_channels = posteriors.images.shape[1:]
        shape = (height, width, image_channels[0] if image_channels else 1)
    else:
        _, shape = dataset_size(dataset)
    members = restore_networks(ensemble_id, store, shape)
    traverse_members(posteriors, members, config.traversals, draw=points.draw if points else None).save(folder)
