"""`vaefrag null`: could the hotspots of an ensemble be chance, do they hang on the axes, and would they come back?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands import null_reports
from vaefrag.commands.options import Json, Workspace, by_option, warn_of_long_comparison

if TYPE_CHECKING:
    from vaefrag_core.ensemble_store import EnsembleStore

OPTIONS = {"draws": "draws", "seed": "seed"}


def null(
    ensemble_id: Annotated[str, typer.Argument(metavar="ID", help="The ensemble, as `vaefrag list` names it.")],
    draws: Annotated[int, typer.Option(help="Searches among shuffled images, and as many among turned axes.")] = 99,
    seed: Annotated[int, typer.Option(help="Of the shuffles, the turns and the choices of members.")] = 0,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Hold the hotspots of an analysis against shuffled images, turned axes, and members held out.

    The result is kept with the analysis: the explorer and `vaefrag analyze --json` show it from then on.
    """
    from vaefrag.settings import load_settings
    from vaefrag_core.ensemble_store import EnsembleStore

    store = EnsembleStore(load_settings(workspace=workspace).workspace)
    result = null_tests(ensemble_id, store, {"draws": draws, "seed": seed}, show=not as_json)
    if as_json:
        terminal.print_json(result)


def null_tests(ensemble_id: str, store: "EnsembleStore", values: dict[str, Any], *, show: bool) -> dict[str, Any]:
    """Run the tests of the newest analysis, or read them, and show them.

    Args:
        ensemble_id: an ensemble that has been analysed.
        store: where it lives.
        values: fields of a `NullConfig`.
        show: whether tables are shown.

    Returns:
        JSON content.

    Raises:
        InvalidInputError: when a value is wrong.
        MissingDataError: when it has not been analysed.
    """
    from vaefrag_core.config import NullConfig
    from vaefrag_core.config_errors import parse

    with by_option(OPTIONS):
        config = parse(NullConfig, values)
    index = store.analysis_index(ensemble_id)  # before anything is shown
    if index.config.hotspots.estimator == "bound":
        posteriors = store.posteriors(ensemble_id)
        warn_of_long_comparison(posteriors.n_channels, posteriors.n_images, comparisons=2 * config.draws)
    from vaefrag_core.null_pipeline import run_null_tests
    from vaefrag_core.structure.hotspot_recurrence import hotspot_recurrence

    with terminal.analysis_progress() as on_stage:
        tests = run_null_tests(ensemble_id, store, config, on_stage=on_stage)
    analysis = store.analysis(ensemble_id)
    settings = analysis.config.hotspots
    hotspots = analysis.hotspots[settings.measure]
    recurrence = hotspots.recurrence or hotspot_recurrence(analysis.matrix, hotspots, settings)
    if show:
        null_reports.show_null(tests, recurrence)
    return {"ensemble": ensemble_id, **null_reports.null_result(tests, recurrence)}
