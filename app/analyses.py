"""Analyses that a person waits for: with progress, and their result as a table and as JSON content."""

from typing import Any

from app import reports, terminal


def analyze_channels(ensemble_id: str, values: dict[str, Any], settings: Any) -> dict[str, Any]:
    """Analyse the channels of an ensemble, show the result and give it as JSON content."""
    from vaefrag_core import pipeline
    from vaefrag_core.config import AnalysisConfig, parse

    config, store = parse(AnalysisConfig, values), _store_with(ensemble_id, settings)
    with terminal.analysis_progress() as on_stage:
        analysis = pipeline.analyze(ensemble_id, store, config, on_stage=on_stage)
        pipeline.renew_atlases(ensemble_id, store, on_stage=on_stage)
    reports.show_analysis(analysis)
    return reports.analysis_result(ensemble_id, analysis)


def analyze_spaces(ensemble_id: str, values: dict[str, Any], settings: Any) -> dict[str, Any]:
    """Compare members by their whole latent spaces, show the result and give it as JSON content."""
    from vaefrag_core import pipeline
    from vaefrag_core.config import SpaceConfig, parse

    config, store = parse(SpaceConfig, values), _store_with(ensemble_id, settings)
    with terminal.analysis_progress() as on_stage:
        spaces = pipeline.analyze_spaces(ensemble_id, store, config, on_stage=on_stage)
        pipeline.renew_atlases(ensemble_id, store, on_stage=on_stage)
    reports.show_spaces(spaces)
    return reports.spaces_result(ensemble_id, spaces)


def _store_with(ensemble_id: str, settings: Any) -> Any:
    """Open the workspace, and see that the ensemble is there before anything is shown."""
    from vaefrag_core.store import EnsembleStore

    store = EnsembleStore(settings.workspace)
    store.record(ensemble_id)
    return store
