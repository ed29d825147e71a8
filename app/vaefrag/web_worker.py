"""A worker of gunicorn that takes requests in by waitress: a thread is given whole requests only.

gunicorn's own workers read a request in the thread that will answer it, so that a few clients that send half a request,
on purpose or on a laptop that falls asleep, hold all threads. Here one loop reads all connections; what does not come
whole in time is cut off, and signs of life are answered by a thread of their own.
"""

import os
import time
from collections.abc import Callable, Collection
from typing import Any

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

IDLE_SECONDS = 60  # that a connection may lie silent between two requests, or a client may not read its answer
TURN_SECONDS = 1.0  # between two signs of life to gunicorn
MOST_CONNECTIONS = 1_000  # of one process; others wait to be taken
MOST_HEADER_BYTES = 32_768  # a selection is part of an address
MOST_BODY_BYTES = 2**24


class TimedChannel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection, and since when its client has been sending a request."""

    began = 0.0

    def received(self, data: bytes) -> bool:
        """Take bytes of a request in."""
        if self.request is None:
            self.began = time.monotonic()
        return bool(super().received(data))


class PageServer(TcpWSGIServer):  # type: ignore[misc] # waitress has no types
    """waitress with a time limit for requests, and a thread for signs of life.

    Args:
        application: the pages.
        listening: the socket on which gunicorn listens.
        threads: that answer requests.
        request_seconds: the time in which a request has to come whole.
        health_names: ends of the paths that are answered whatever the other threads do.
    """

    channel_class = TimedChannel

    def __init__(
        self,
        application: Callable[..., Any],
        listening: Any,
        threads: int,
        request_seconds: float,
        health_names: Collection[str],
    ) -> None:
        self._request_seconds, self._health_names = request_seconds, health_names
        self._health = ThreadedTaskDispatcher()
        self._health.set_thread_count(1)
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(threads)
        adjustments = Adjustments(
            threads=threads,
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=1,
            connection_limit=MOST_CONNECTIONS,
            max_request_header_size=MOST_HEADER_BYTES,
            max_request_body_size=MOST_BODY_BYTES,
            clear_untrusted_proxy_headers=False,  # `vaefrag.proxies` decides which proxies are believed
            log_socket_errors=False,
            ident=None,
        )
        sockinfo = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(
            application, {}, True, listening, dispatcher, adjustments, sockinfo=sockinfo, bind_socket=False
        )

    def add_task(self, task: TimedChannel) -> None:
        """Give a connection whose next request has come whole to a thread."""
        name = task.requests[0].path.rsplit("/", 1)[-1]
        (self._health if name in self._health_names else self.task_dispatcher).add_task(task)

    def maintenance(self, now: float) -> None:
        """Cut off whoever has been silent, or sending one request, for too long."""
        super().maintenance(now)
        latest = time.monotonic() - self._request_seconds
        for channel in self.active_channels.values():
            if channel.request is not None and channel.began < latest:
                channel.will_close = True

    def turn(self, seconds: float) -> None:
        """Read and write what is due, or wait for it so long."""
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._map, count=1)

    def finish(self, seconds: float) -> None:
        """Take no more connections, and give the requests that have come whole so long to be answered."""
        self.accepting = False
        self.del_channel()
        self.socket.close()
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(
            channel.requests or channel.total_outbufs_len for channel in self.active_channels.values()
        ):
            self.turn(0.1)
        for dispatcher in (self._health, self.task_dispatcher):
            dispatcher.shutdown(timeout=0.1)
        wasyncore.close_all(self._map)


class PageWorker(Worker):
    """The process that answers requests."""

    request_seconds = 30.0
    _server: PageServer | None = None

    def handle_exit(self, sig: int, frame: Any) -> None:
        """End, without waiting for the turn that is under way."""
        super().handle_exit(sig, frame)
        if self._server is not None:
            self._server.pull_trigger()

    def run(self) -> None:
        """Serve until gunicorn says that it is enough, or is gone."""
        from vaefrag.auth.guard import HEALTH, READY  # with Flask, which the process that watches this one does without

        (listening,) = self.sockets
        socket = getattr(listening, "sock", listening)  # gunicorn has a class of its own around it
        self._server = server = PageServer(
            self.wsgi, socket, self.cfg.threads, self.request_seconds, health_names=(HEALTH, READY)
        )
        while self.alive and self.ppid == os.getppid():
            self.notify()
            server.turn(TURN_SECONDS)
        server.finish(self.cfg.graceful_timeout)
