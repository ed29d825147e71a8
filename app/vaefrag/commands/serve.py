"""`vaefrag serve`: the pages of a workspace."""

from typing import Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands.options import Json, Workspace


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
    browser: Annotated[bool, typer.Option(help="Open the pages in a browser.")] = True,
    as_json: Json = False,
) -> None:
    """Show the ensembles of a workspace in a browser, until Ctrl-C.

    What other machines can reach is served with an access token only: --new-token makes one, VAEFRAG_TOKEN sets one.
    """
    from vaefrag.settings import load_settings

    settings = load_settings(workspace=workspace, host=host, port=port, start_engine=start_engine)
    if new_token:
        from vaefrag.auth.token import make_token

        token, path = make_token(settings)
        on_screen = terminal.console.is_terminal  # a log, by contrast, is no place for it
        terminal.print_message(
            f"{f'Access token: [bold]{token}[/]' if on_screen else 'There is a new access token.'}\n"
            "People type it to sign in; programs send it as `Authorization: Bearer …`."
            f" It is kept in {path}, where every `vaefrag serve` finds it. Delete that file to do without."
        )
    show_pages(settings, browser, as_json=as_json)


def check_door(settings: Any) -> None:
    """Refuse now what the pages would refuse when they are made."""
    from vaefrag.auth.token import find_token

    find_token(settings)


def show_pages(settings: Any, browser: bool, *, path: str = "/", as_json: bool = False) -> None:
    """Serve the pages of a workspace until Ctrl-C, with an engine beside them when the settings say so."""
    from contextlib import nullcontext

    from vaefrag.server import serve_until_stopped

    def make_server() -> Any:
        from vaefrag.main import create_app
        from vaefrag_core.ensemble_store import EnsembleStore

        return create_app(settings, EnsembleStore(settings.workspace)).server

    def beside() -> Any:
        from vaefrag.jobs.engine_process import supervise_engine

        return supervise_engine(settings) if settings.start_engine else nullcontext()

    check_door(settings)
    serve_until_stopped(make_server, settings, beside, path=path, browser=browser, as_json=as_json)
