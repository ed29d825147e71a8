"""`vaefrag metrics`: members one by one, by the metrics of the field."""

from typing import Annotated

import typer

from vaefrag import terminal
from vaefrag.commands import reports
from vaefrag.commands.options import Json, Workspace


def metrics(
    ensemble_id: Annotated[str, typer.Argument(metavar="ID", help="An ensemble of the workspace.")],
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of held-out images, forests and votes.")] = 0,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Measure each member: MIG, DCI, SAP and FactorVAE score against the labels, and UDR without them."""
    from vaefrag.settings import load_settings
    from vaefrag_core.ensemble_store import EnsembleStore
    from vaefrag_core.structure.member_metrics import member_metrics

    settings = load_settings(workspace=workspace)
    store = EnsembleStore(settings.workspace)
    store.record(ensemble_id)
    found = member_metrics(store.posteriors(ensemble_id), seed)
    reports.show_metrics(found)
    if as_json:
        terminal.print_json(reports.metrics_result(ensemble_id, found))
