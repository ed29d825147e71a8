"""`vaefrag metrics`: each member by the field's metrics of disentanglement."""

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
    store.record(ensemble_id)  # says that there is no such ensemble, where posteriors would say that they are missing
    metrics_of_members = member_metrics(store.posteriors(ensemble_id), seed)
    reports.show_metrics(metrics_of_members)
    if as_json:
        terminal.print_json(reports.metrics_result(ensemble_id, metrics_of_members))
