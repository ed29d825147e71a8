"""`vaefrag atlas`: the hotspots of a sweep, followed from value to value."""

from typing import Annotated

import typer

from vaefrag import terminal
from vaefrag.commands import sweep_reports
from vaefrag.commands.options import Json, Workspace, by_option


def atlas(
    sweep_id: Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep of the workspace.")],
    min_nmi: Annotated[float, typer.Option(help="Mean NMI from which on two hotspots are linked.")] = 0.4,
    step: Annotated[
        int | None, typer.Option(help="Step of training that is shown, of those its members were kept at.")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Follow the hotspots of a sweep: which appear, go on, split, merge and end as the coefficient grows.

    A sweep is trained by a list: `vaefrag train --beta 1,2,4,8,16`. Its atlas is drawn anew after each analysis of one
    of its ensembles; the pages show the one that was drawn last.
    """
    from vaefrag.settings import load_settings
    from vaefrag_core import pipeline
    from vaefrag_core.config import AtlasConfig
    from vaefrag_core.config_errors import parse
    from vaefrag_core.ensemble_store import EnsembleStore
    from vaefrag_core.sweeps import SweepStore

    with by_option({"min_nmi": "min_nmi"}):
        config = parse(AtlasConfig, {"min_nmi": min_nmi})
    store = EnsembleStore(load_settings(workspace=workspace).workspace)
    sweeps = SweepStore(store)
    sweep = sweeps.sweep(sweep_id)
    with terminal.analysis_progress() as on_stage:
        end = pipeline.follow_hotspots(sweep_id, store, config, on_stage=on_stage)
    found = end if step is None else sweeps.atlas(sweep_id, step)
    if step is not None:
        terminal.print_message(f"At step {step} of {end.steps[-1]}:")
    sweep_reports.show_atlas(sweep, found)
    if as_json:
        terminal.print_json(sweep_reports.atlas_result(sweep, found, step=step, steps=end.steps))
