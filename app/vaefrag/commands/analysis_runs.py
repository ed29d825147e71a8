"""`vaefrag analyze`: analyses with progress, and their results as tables and as JSON content."""

from typing import TYPE_CHECKING, Any

from vaefrag import terminal
from vaefrag.commands import reports, space_reports, training_reports
from vaefrag.commands.options import by_option, warn_of_long_comparison

if TYPE_CHECKING:
    from vaefrag.settings import Settings
    from vaefrag_core.ensemble_store import EnsembleStore

HOTSPOT_OPTIONS = ("measure", "estimator", "min_bits", "member_share", "cohesion", "min_similarity", "min_samples")
# The fields of an `AnalysisConfig`, and of a `SpaceConfig`, that each option of `analyze` sets.
CHANNEL_OPTIONS: dict[str, str | tuple[str, ...]] = {
    **{option: f"hotspots.{option}" for option in HOTSPOT_OPTIONS},
    "bootstrap": "bootstrap.resamples",
    "seed": ("map.seed", "bootstrap.seed"),
}
SPACE_OPTIONS = {"draws": "draws", "seed": "seed"}


def analyze_channels(
    ensemble_id: str, values: dict[str, Any], settings: "Settings", *, over_training: bool = False
) -> dict[str, Any]:
    """Analyse the channels of an ensemble, and show the result.

    Args:
        ensemble_id: the ensemble.
        values: fields of an `AnalysisConfig`.
        settings: the workspace.
        over_training: whether steps of training are shown instead of hotspots, and added to the JSON content.

    Returns:
        JSON content.

    Raises:
        InvalidInputError: when a value is wrong.
        MissingDataError: when there is no such ensemble, or steps are to be shown and it has no snapshots.
    """
    from vaefrag_core.config import AnalysisConfig
    from vaefrag_core.config_errors import parse
    from vaefrag_core.errors import MissingDataError

    with by_option(CHANNEL_OPTIONS):
        config = parse(AnalysisConfig, values)
    store = _store_with(ensemble_id, settings)
    if over_training and not store.record(ensemble_id).source.snapshots:
        raise MissingDataError(
            f"Ensemble {ensemble_id} has kept no snapshots of its training."
            " Train one that does with `vaefrag train --snapshots 8`."
        )
    from vaefrag_core import pipeline

    posteriors = store.posteriors(ensemble_id)
    if config.hotspots.estimator == "bound":
        # Of N images a resample draws 0.63 N and leaves 0.37 N, which are compared as well: 0.53 of what N take.
        comparisons = 1 + 0.53 * config.bootstrap.resamples
        warn_of_long_comparison(posteriors.n_channels, posteriors.n_images, comparisons=comparisons)
    with terminal.analysis_progress() as on_stage:
        analysis = pipeline.analyze(ensemble_id, store, config, on_stage=on_stage)
        pipeline.renew_atlases(ensemble_id, store, on_stage=on_stage)
    result = reports.analysis_result(ensemble_id, analysis)
    if over_training and analysis.over_training is not None:
        training_reports.show_over_training(analysis.over_training)
        return result | training_reports.over_training_result(analysis.over_training)
    reports.show_analysis(analysis)
    return result


def analyze_spaces(ensemble_id: str, values: dict[str, Any], settings: "Settings") -> dict[str, Any]:
    """Compare members by their whole latent spaces, and show the result.

    Args:
        ensemble_id: the ensemble.
        values: fields of a `SpaceConfig`.
        settings: the workspace.

    Returns:
        JSON content.

    Raises:
        InvalidInputError: when a value is wrong.
        MissingDataError: when there is no such ensemble.
    """
    from vaefrag_core import pipeline
    from vaefrag_core.config import SpaceConfig
    from vaefrag_core.config_errors import parse

    with by_option(SPACE_OPTIONS):
        config = parse(SpaceConfig, values)
    store = _store_with(ensemble_id, settings)
    with terminal.analysis_progress() as on_stage:
        spaces = pipeline.analyze_spaces(ensemble_id, store, config, on_stage=on_stage)
        pipeline.renew_atlases(ensemble_id, store, on_stage=on_stage)
    space_reports.show_spaces(spaces)
    return space_reports.spaces_result(ensemble_id, spaces)


def _store_with(ensemble_id: str, settings: "Settings") -> "EnsembleStore":
    """Open the workspace, and check that the ensemble is there before anything is shown."""
    from vaefrag_core.ensemble_store import EnsembleStore

    store = EnsembleStore(settings.workspace)
    store.record(ensemble_id)
    return store
