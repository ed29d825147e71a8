"""What hotspots are held against, worked out once and kept with the analysis: `vaefrag null`.

    hotspots → p-values by shuffled images, percentiles by turned axes, and a curve over fewer members

A result is found again by the posteriors, the settings of the hotspots and its own; the index of the newest analysis
names it, so that pages and reports show it beside the hotspots that it is of and beside no others.
"""

from dataclasses import replace
from pathlib import Path
from typing import get_args

from vaefrag_core.artifacts import Analysis, NullTests, Posteriors
from vaefrag_core.artifacts.files import recomputed_by
from vaefrag_core.config import HotspotConfig, Measure, NullConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError, MissingDataError
from vaefrag_core.result_inputs import OnStage, hotspot_inputs, ignore_stage, null_inputs
from vaefrag_core.structure.hotspot_significance import (
    false_discovery_rates,
    highest_by_chance,
    p_values_of,
)
from vaefrag_core.structure.member_curve import member_curve
from vaefrag_core.structure.rotation_null import search_rotated
from vaefrag_core.structure.similarity_inside import similarity_inside

KIND = "null"  # of the artifact


def run_null_tests(
    ensemble_id: str, store: EnsembleStore, config: NullConfig | None = None, *, on_stage: OnStage = ignore_stage
) -> NullTests:
    """Hold the hotspots of the newest analysis against shuffled images, turned axes and fewer members.

    Args:
        ensemble_id: an ensemble that has been analysed.
        store: where it lives.
        config: draws, choices and seed.
        on_stage: called with the stage at work and the share of it that is done.

    Returns:
        The tests by the measure of the analysis, read where they have been worked out before.

    Raises:
        MissingDataError: when there is no such ensemble, no analysis, or its posteriors are others by now.
    """
    config = config or NullConfig()
    index = store.analysis_index(ensemble_id)
    posteriors = store.posteriors(ensemble_id, checked=True)
    if posteriors.key != index.posteriors_key:
        raise MissingDataError(
            f"The members of {ensemble_id} have been encoded anew since its analysis. Run `vaefrag analyze"
            f" {ensemble_id}` first."
        )
    hotspots = index.config.hotspots

    def work(folder: Path) -> None:
        _null_tests(store.analysis(ensemble_id), posteriors, config, on_stage).save(folder)

    folder = store.artifact(ensemble_id, KIND, null_inputs(posteriors.key, hotspots, config), work)
    latest = store.analysis_index(ensemble_id)  # another analysis may have ended in the meantime
    if latest.hotspots == index.hotspots and latest.null_tests.get(hotspots.measure) != folder.name:
        named = latest.null_tests | {hotspots.measure: folder.name}
        store.save_analysis_index(ensemble_id, latest.model_copy(update={"null_tests": named}))
    with recomputed_by(f"vaefrag null {ensemble_id}", folder):
        return NullTests.load(folder)


def stored_null_tests(
    ensemble_id: str, store: EnsembleStore, posteriors_key: str, hotspots: HotspotConfig
) -> dict[Measure, str]:
    """Return the tests that there are of hotspots already, as an analysis index names them.

    Args:
        ensemble_id: the ensemble.
        store: where it lives.
        posteriors_key: of the posteriors that are analysed.
        hotspots: how hotspots are found; its measure is not read.
    """
    named: dict[Measure, str] = {}
    try:
        earlier = store.analysis_index(ensemble_id)
    except (MissingDataError, BrokenFileError):
        earlier = None
    for measure in get_args(Measure):
        by_measure = hotspots.model_copy(update={"measure": measure})
        folder = store.artifact_folder(ensemble_id, KIND, null_inputs(posteriors_key, by_measure, NullConfig()))
        same = store.artifact_folder(ensemble_id, "hotspots", hotspot_inputs(posteriors_key, by_measure)).name
        if earlier is not None and measure in earlier.null_tests and earlier.hotspots.get(measure) == same:
            folder = folder.with_name(earlier.null_tests[measure])
        if folder.is_dir():
            named[measure] = folder.name
    return named


def _null_tests(analysis: Analysis, posteriors: Posteriors, config: NullConfig, on_stage: OnStage) -> NullTests:
    settings = analysis.config.hotspots
    matrix, hotspots = analysis.matrix, analysis.hotspots[settings.measure]
    posteriors = replace(posteriors, diverged=matrix.diverged)
    channels = [group.channels for group in hotspots.groups]
    similarity = similarity_inside(matrix, channels, settings.measure)
    curve = member_curve(
        matrix,
        hotspots,
        settings,
        choices=config.choices,
        seed=config.seed,
        on_progress=lambda done, total: on_stage("fewer", done / total),
    )
    highest = highest_by_chance(
        posteriors,
        settings,
        config.draws,
        seed=config.seed,
        on_progress=lambda done, total: on_stage("shuffled", done / total),
    )
    rotated = search_rotated(
        posteriors,
        matrix,
        settings,
        config.draws,
        seed=config.seed,
        on_progress=lambda done, total: on_stage("rotated", done / total),
    )
    p_values = p_values_of(similarity, highest)
    return NullTests(
        similarity=similarity,
        p_values=p_values,
        false_discovery_rates=false_discovery_rates(p_values),
        highest_by_chance=highest,
        rotated=rotated,
        n_channels=sum(map(len, channels)),
        curve=curve,
        seed=config.seed,
    )
