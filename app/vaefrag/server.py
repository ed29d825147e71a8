"""Serves the pages until Ctrl-C or SIGTERM, by gunicorn and waitress: on a laptop the same server as in a lab."""

import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication

from vaefrag import terminal
from vaefrag.auth.token import reachable_address
from vaefrag.web_worker import PageWorker
from vaefrag_core.errors import BusyError

if TYPE_CHECKING:
    from flask import Flask
    from gunicorn.workers.base import Worker

    from vaefrag.settings import Settings

THREADS = 8  # in each process
HUNG_SECONDS = 60  # a process that is silent for so long is replaced
SHUTDOWN_SECONDS = 10  # for requests under way when the server is told to end
BACKLOG = 2048  # connections that wait to be taken
SHARED_MEMORY = Path("/dev/shm")  # where signs of life cost no disk


def claim_port(settings: "Settings") -> socket.socket:
    """Bind the port that pages will be served on, so that it is known to be free, and port 0 has a number.

    Connections are refused until `serve_until_stopped` listens on it.

    Args:
        settings: address and port.

    Raises:
        BusyError: when the port is taken, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[
            0
        ]
        bound = socket.socket(family, kind, protocol)
        # Without it, the port stays taken for a minute after a server that ended with connections open.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        raise _busy(settings) from None
    return bound


def serve_until_stopped(
    make_server: "Callable[[], Flask]",
    settings: "Settings",
    beside: Callable[[], AbstractContextManager[object]],
    bound: socket.socket,
    *,
    path: str = "",
    browser: bool = True,
    as_json: bool = False,
) -> None:
    """Serve the pages, and open one in a browser.

    Args:
        make_server: makes the pages; called in each process that answers requests.
        settings: address, URL prefix, and number of processes.
        beside: what each process holds as long as it lives.
        bound: what `claim_port` returned.
        path: the page to open, below the URL prefix.
        browser: whether to open it.
        as_json: write the address as a JSON object to standard output as soon as pages are served.

    Raises:
        BusyError: when another program has begun to listen on the port meanwhile.
    """
    try:
        bound.listen(BACKLOG)
    except OSError:
        raise _busy(settings) from None
    name = reachable_address(settings.host)
    host = f"[{name}]" if ":" in name else name
    url = f"http://{host}:{bound.getsockname()[1]}{settings.url_prefix}{path}"
    held = ExitStack()

    def announce(_: object) -> None:
        besides = " and at every address of this machine" if name != settings.host else ""
        terminal.print_message(f"vaefrag is at [bold]{url}[/]{besides} (Ctrl-C ends it)")
        if as_json:
            terminal.print_json({"url": url})

    def begin(worker: "Worker") -> None:
        held.enter_context(beside())
        # Of several processes, and of those that replace them, only the first opens a browser.
        if browser and worker.age == 1:
            threading.Timer(0.3, webbrowser.open, (url,)).start()

    class TimedWorker(PageWorker):
        request_seconds = settings.request_seconds

    options = {
        "bind": f"fd://{bound.detach()}",
        "worker_class": TimedWorker,
        "workers": settings.web_processes,
        "threads": THREADS,
        "timeout": HUNG_SECONDS,
        "graceful_timeout": SHUTDOWN_SECONDS,
        "worker_tmp_dir": str(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else None,
        "control_socket_disable": True,
        "loglevel": "warning",
        "proc_name": "vaefrag",
        "when_ready": announce,
        "post_worker_init": begin,
        "worker_exit": lambda arbiter, worker: held.close(),
        "on_exit": lambda arbiter: terminal.print_message("Stopped."),
    }
    _Gunicorn(make_server, options).run()


class _Gunicorn(BaseApplication):
    """Gunicorn without its command line and its files of settings, which it would take from the current folder.

    Args:
        make_server: see `serve_until_stopped`.
        options: gunicorn's settings.
    """

    def __init__(self, make_server: "Callable[[], Flask]", options: dict[str, object]) -> None:
        self._make, self._options = make_server, options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # gunicorn and Flask each have a type of their own for a WSGI application
        return self._make()


def _busy(settings: "Settings") -> BusyError:
    return BusyError(
        f"Cannot serve on {settings.host}:{settings.port}: another program uses that port, or the address is not this"
        " machine's. Choose another with --port or --host."
    )
