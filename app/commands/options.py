"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Workspace = Annotated[
    Path | None,
    typer.Option(help="Folder of the ensembles.", show_default="VAEFRAG_WORKSPACE, or ./data"),
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to standard output.")]
