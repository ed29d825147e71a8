"""`vaefrag serve`: the pages of a workspace."""

import os
import socket
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaefrag import terminal
from vaefrag.commands.options import Device, Json, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from vaefrag.settings import Settings


def serve(
    workspace: Workspace = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address; any but this machine's own needs a token.", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port.", show_default="8050")] = None,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Make an access token, keep it in the workspace, and serve with it.")
    ] = False,
    start_engine: Annotated[
        bool | None,
        typer.Option("--engine/--no-engine", help="Start an engine when none runs.", show_default="yes"),
    ] = None,
    data_folder: Annotated[
        list[Path] | None,
        typer.Option(help="Folder whose files pages may read as data sets; may be repeated.", show_default=False),
    ] = None,
    device: Device = None,
    browser: Annotated[bool, typer.Option(help="Open the pages in a browser.")] = True,
    as_json: Json = False,
) -> None:
    """Show the ensembles of a workspace in a browser, until Ctrl-C.

    What other machines can reach is served with an access token only: --new-token makes one, VAEFRAG_TOKEN sets one.
    """
    from vaefrag.auth.token import make_token
    from vaefrag.server import claim_port
    from vaefrag.settings import load_settings

    settings = load_settings(
        workspace=workspace,
        host=host,
        port=port,
        start_engine=start_engine,
        device=device,
        data_folders=data_folder or None,
    )
    if not new_token:
        bound = prepare_to_serve(settings)
    else:
        bound = claim_port(settings)  # first: a port that is taken should not cost others their sessions
        token, path = make_token(settings)
        on_screen = terminal.console.is_terminal  # a log, by contrast, is no place for it
        terminal.print_message(
            f"{f'Access token: [bold]{token}[/]' if on_screen else 'There is a new access token.'}\n"
            "People type it to sign in; programs send it as `Authorization: Bearer …`."
            f" It is kept in {path}, where every `vaefrag serve` finds it. Delete that file to do without."
        )
    show_pages(settings, bound, browser, as_json=as_json)


def prepare_to_serve(settings: "Settings") -> socket.socket:
    """Check the access token and take the port, so that long work before the pages does not end in a refusal.

    Returns:
        The socket that the pages will be served on.

    Raises:
        InvalidInputError: when the pages need a token and have none, the token is no good, or the engine cannot
            have the device that is asked for.
        BusyError: when the port is taken.
    """
    from vaefrag.auth.token import find_token
    from vaefrag.jobs.engine_process import check_device
    from vaefrag.server import claim_port

    find_token(settings)
    if settings.start_engine:
        check_device(settings)
    return claim_port(settings)


def show_pages(
    settings: "Settings", bound: socket.socket, browser: bool, *, path: str = "", as_json: bool = False
) -> None:
    """Serve the pages of a workspace until Ctrl-C, with an engine beside them when the settings say so.

    Args:
        settings: how they are served.
        bound: what `prepare_to_serve` returned.
        browser: whether a page is opened.
        path: that page, below the URL prefix.
        as_json: whether the address is written to standard output.
    """
    from vaefrag.server import serve_until_stopped

    _tell_who_can_read(settings.workspace)

    def make_server() -> "Flask":
        from vaefrag.main import create_app
        from vaefrag_core.ensemble_store import EnsembleStore

        server: Flask = create_app(settings, EnsembleStore(settings.workspace)).server
        return server

    def beside() -> AbstractContextManager[None]:
        from vaefrag.jobs.engine_process import supervise_engine

        return supervise_engine(settings) if settings.start_engine else nullcontext()

    serve_until_stopped(make_server, settings, beside, bound, path=path, browser=browser, as_json=as_json)


def _tell_who_can_read(workspace: "Path") -> None:
    """Say so when other accounts of this machine can read the ensembles, past every token."""
    folders = [folder for folder in (workspace, workspace / "ensembles") if folder.is_dir()]
    if folders and os.name == "posix" and all(folder.stat().st_mode & 0o055 for folder in folders):
        terminal.print_message(
            f"Other accounts of this machine can read what is in {workspace}. `chmod 700 {workspace}` shuts them out."
        )
