"""Serves the pages on this machine until Ctrl-C."""

import ipaddress
import logging
import threading
import webbrowser
from typing import TYPE_CHECKING

from app import terminal
from vaefrag_core.errors import BusyError

if TYPE_CHECKING:
    from flask import Flask

    from app.settings import Settings


def serve_until_interrupt(
    server: "Flask", settings: "Settings", *, path: str = "/", browser: bool = True, as_json: bool = False
) -> None:
    """Serve the pages, and open one in a browser.

    Args:
        server: the pages.
        settings: say on which address and port.
        path: the page to open.
        browser: whether to open it.
        as_json: write the address as a JSON object to standard output as soon as pages are served.

    Raises:
        BusyError: when the port is taken.
    """
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line per request would bury what matters
    try:
        http = make_server(settings.host, settings.port, server, threaded=True)
    except (OSError, SystemExit):
        raise BusyError(
            f"Cannot serve on {settings.host}:{settings.port}: another program uses that port, or the address is not"
            " this machine's. Choose another with --port or --host."
        ) from None
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{shown}:{http.server_port}{path}"
    terminal.say(f"vaefrag is at [bold]{url}[/] (Ctrl-C ends it)")
    if not is_loopback(settings.host):
        terminal.say("Note: everyone who reaches this address can see the ensembles of this workspace.")
    if as_json:
        terminal.emit({"url": url})
    if browser:
        threading.Timer(0.3, webbrowser.open, (url,)).start()
    try:
        http.serve_forever()
    except KeyboardInterrupt:
        terminal.say("Stopped.")
    finally:
        http.server_close()


def is_loopback(host: str) -> bool:
    """Say whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
