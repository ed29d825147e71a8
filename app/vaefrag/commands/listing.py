"""`vaefrag list`: what a workspace holds, by the ids that other commands ask for."""

from typing import TYPE_CHECKING, Any

from vaefrag import terminal
from vaefrag.commands.options import Json, Workspace
from vaefrag.plurals import counted

if TYPE_CHECKING:
    from vaefrag.jobs.job_store import JobStore
    from vaefrag_core.ensemble_store import EnsembleRecord, EnsembleStore
    from vaefrag_core.fusion_store import FusionStore

NAME_WIDTH = 34  # of names on a terminal


def list_workspace(workspace: Workspace = None, as_json: Json = False) -> None:
    """List the ensembles of the workspace, its sweeps, fused spaces and sets of channels, the newest first."""
    from vaefrag.jobs.job_store import JobStore
    from vaefrag.settings import load_settings
    from vaefrag_core.ensemble_store import EnsembleStore

    folder = load_settings(workspace=workspace).workspace
    result = contents(EnsembleStore(folder), JobStore(folder))
    if as_json:
        terminal.print_json(result)
    else:
        _show(result)


def contents(store: "EnsembleStore", job_store: "JobStore") -> dict[str, Any]:
    """Give what a workspace holds as JSON content.

    Args:
        store: of the workspace.
        job_store: of its jobs.
    """
    from vaefrag_core.channel_sets import SetStore
    from vaefrag_core.fusion_store import FusionStore
    from vaefrag_core.sweeps import SweepStore

    records, fusions = store.records(), FusionStore(store)
    damaged = sorted(set(store.ids()) - {record.id for record in records})
    return {
        "workspace": str(store.workspace),
        "ensembles": [_ensemble(record, store, job_store) for record in records]
        + [_unreadable(key) for key in damaged],
        "sweeps": [
            {"sweep": sweep.id, "name": sweep.name, "coefficient": sweep.coefficient, "values": list(sweep.values)}
            for sweep in SweepStore(store).sweeps()
        ],
        "fusions": [_fusion(fusions, record.id, fusion) for record in records for fusion in fusions.ids(record.id)],
        "sets": [
            {"set": found.id, "name": found.name, "channels": len(found.channels)}
            for found in SetStore(store.workspace).all()
        ],
    }


def _ensemble(record: "EnsembleRecord", store: "EnsembleStore", job_store: "JobStore") -> dict[str, Any]:
    from vaefrag.jobs.ensemble_status import status_of
    from vaefrag_core.ensemble_record import ImportedSource
    from vaefrag_core.errors import BrokenFileError, MissingDataError

    standing = status_of(record, store, job_store)
    state, hotspots = standing.state, None
    try:
        analysis = store.analysis(record.id)
        hotspots = len(analysis.hotspots[analysis.config.hotspots.measure].groups)
    except MissingDataError:
        pass
    except BrokenFileError:
        state = "analysis damaged"
    imported, n_members = isinstance(record.source, ImportedSource), record.source.n_members
    words = {"id": record.id, "name": record.name, "state": state, "imported": imported}
    members_done = n_members if imported else standing.done
    return words | {"members": n_members, "members_done": members_done, "hotspots": hotspots}


def _unreadable(ensemble_id: str) -> dict[str, Any]:
    numbers = {"members": 0, "members_done": 0, "hotspots": None}
    return {"id": ensemble_id, "name": "", "state": "cannot be read", "imported": False, **numbers}


def _fusion(fusions: "FusionStore", ensemble_id: str, fusion_id: str) -> dict[str, Any]:
    from vaefrag_core.errors import VaefragError

    try:
        name = fusions.fused(ensemble_id, fusion_id).config.title
    except VaefragError:
        name = "not whole yet, or damaged"
    return {"fusion": fusion_id, "id": ensemble_id, "name": name}


def _show(result: dict[str, Any]) -> None:
    if not result["ensembles"]:
        terminal.print_message(
            f"{result['workspace']} holds no ensembles. `vaefrag demo` or `vaefrag train` makes one."
        )
        return
    rows = [
        [item["id"], f"{item['members_done']} of {item['members']}", _found(item), item["name"][:NAME_WIDTH]]
        for item in result["ensembles"]
    ]
    terminal.show_table(["ensemble", "members", "found", "name"], rows, whole=["ensemble"])
    for kind, head, words in (
        ("sweeps", "sweep", lambda item: f"{item['name']}: {counted(len(item['values']), 'value')}"),
        ("fusions", "fused space", lambda item: f"{item['name']}, of {item['id']}"),
        ("sets", "set", lambda item: f"{item['name']}: {counted(item['channels'], 'channel')}"),
    ):
        if found := result[kind]:
            terminal.print_message("")
            rows = [[next(iter(item.values())), words(item)] for item in found]
            terminal.show_table([head, "what"], rows, whole=[head])


def _found(item: dict[str, Any]) -> str:
    if item["state"] not in ("trained", "stopped") or item["hotspots"] is None:
        return "not analysed yet" if item["state"] == "trained" else item["state"]
    return counted(item["hotspots"], "hotspot")
