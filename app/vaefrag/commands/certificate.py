"""`vaefrag certificate`: which run of an ensemble to publish, and a paragraph for the methods section."""

from pathlib import Path
from typing import Annotated

import typer

from vaefrag import terminal
from vaefrag.commands import certificate_reports
from vaefrag.commands.options import Json, Workspace, check_output


def certificate(
    ensemble_id: Annotated[str, typer.Argument(metavar="ID", help="An ensemble that has been analysed.")],
    output: Annotated[Path | None, typer.Option(help="Write it as Markdown.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a file that is there.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Say which member stands best for an ensemble, which stand apart, and what each channel repeats.

    Everything is read from the newest analysis. The paragraph below the table is for the methods section of a paper.
    """
    from vaefrag.certificate_text import methods_paragraph
    from vaefrag.settings import load_settings
    from vaefrag_core.ensemble_store import EnsembleStore, write_text
    from vaefrag_core.structure.certificate import certify

    if output is not None:
        check_output(output, replace=replace)
    store = EnsembleStore(load_settings(workspace=workspace).workspace)
    record, analysis = store.record(ensemble_id), store.analysis(ensemble_id)
    config = analysis.config.hotspots
    certified = certify(analysis.matrix, analysis.hotspots[config.measure], config)
    text = methods_paragraph(record, analysis, certified)
    result = certificate_reports.certificate_result(ensemble_id, analysis, certified, text)
    certificate_reports.show_certificate(ensemble_id, analysis, certified, text)
    if output is not None:
        write_text(output, certificate_reports.certificate_markdown(record.name, result, analysis, certified))
    if as_json:
        terminal.print_json(result)
