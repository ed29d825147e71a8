"""Serves the pages until Ctrl-C or SIGTERM, by gunicorn: on a laptop the same server as in a lab."""

import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication

from vaefrag import terminal
from vaefrag.auth.token import reachable
from vaefrag_core.errors import BusyError

if TYPE_CHECKING:
    from flask import Flask

    from vaefrag.settings import Settings

THREADS = 8  # in each process
HUNG_SECONDS = 60  # a process that is silent for so long is replaced
LAST_SECONDS = 10  # for requests under way when the server is told to end
SHARED_MEMORY = Path("/dev/shm")  # where signs of life cost no disk


def serve_until_stopped(
    make_server: "Callable[[], Flask]",
    settings: "Settings",
    beside: Callable[[], AbstractContextManager[object]],
    *,
    path: str = "/",
    browser: bool = True,
    as_json: bool = False,
) -> None:
    """Serve the pages, and open one in a browser.

    Args:
        make_server: makes the pages; called in each process that answers requests.
        settings: say on which address and port, and with how many processes.
        beside: what each of them holds as long as it lives.
        path: the page to open.
        browser: whether to open it.
        as_json: write the address as a JSON object to standard output as soon as pages are served.

    Raises:
        BusyError: when the port is taken.
    """
    listener = _listen(settings.host, settings.port)
    name = reachable(settings.host)
    url = f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}{path}"
    held = ExitStack()

    def tell(_: object) -> None:
        besides = " and at every address of this machine" if name != settings.host else ""
        terminal.print_message(f"vaefrag is at [bold]{url}[/]{besides} (Ctrl-C ends it)")
        if as_json:
            terminal.print_json({"url": url})

    def begin(worker: Any) -> None:
        held.enter_context(beside())
        if browser and worker.age == 1:
            threading.Timer(0.3, webbrowser.open, (url,)).start()

    options = {
        "bind": f"fd://{listener.detach()}",
        "worker_class": "gthread",
        "workers": settings.web_processes,
        "threads": THREADS,
        "timeout": HUNG_SECONDS,
        "graceful_timeout": LAST_SECONDS,
        "worker_tmp_dir": str(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else None,
        "limit_request_line": 8190,  # a selection is part of an address
        "control_socket_disable": True,
        "loglevel": "warning",
        "proc_name": "vaefrag",
        "when_ready": tell,
        "post_worker_init": begin,
        "worker_exit": lambda arbiter, worker: held.close(),
        "on_exit": lambda arbiter: terminal.print_message("Stopped."),
    }
    _Gunicorn(make_server, options).run()


class _Gunicorn(BaseApplication):
    """Gunicorn without its command line and its files of settings.

    Args:
        make_server: see `serve_until_stopped`.
        options: gunicorn's settings.
    """

    def __init__(self, make_server: "Callable[[], Flask]", options: dict[str, Any]) -> None:
        self._make, self._options = make_server, options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> "Flask":
        return self._make()


def _listen(host: str, port: int) -> socket.socket:
    """Take the port at once, so that a port that is taken is said in a sentence, and port 0 has a number."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        raise BusyError(
            f"Cannot serve on {host}:{port}: another program uses that port, or the address is not this machine's."
            " Choose another with --port or --host."
        ) from None
    return listener
