"""Slows down clients that try one token after another."""

import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

log = logging.getLogger("vaefrag.auth")

FREE_ATTEMPTS = 10  # wrong tokens in a row
SECONDS_EACH = 6.0  # in which one more is granted: ten a minute cannot guess 20 characters
MOST_CLIENTS = 1_000


class SignInThrottle:
    """Counts wrong tokens by client, in a bounded space: of too many clients, the longest quiet is forgotten.

    Args:
        clock: returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        # network of the client → when all its attempts are forgiven, and the hash of its last wrong token
        self._clients: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def seconds_to_wait(self, client: str) -> float:
        """Return the seconds that a client has to wait before it may try again; 0 when it may."""
        with self._lock:
            owed = self._clients.get(_client_network(client), (0.0, 0))[0] - self._clock()
        return max(0.0, owed - (FREE_ATTEMPTS - 1) * SECONDS_EACH)

    def record_failure(self, client: str, shown: str) -> None:
        """Count a wrong token."""
        network, shown_hash = _client_network(client), hash(shown)
        with self._lock:
            now = self._clock()
            forgiven_at, last_hash = self._clients.get(network, (now, None))
            # The same token again is no guess; a program that still has the old one must not lock everybody out.
            if shown_hash == last_hash:
                return
            self._clients[network] = (max(now, forgiven_at) + SECONDS_EACH, shown_hash)
            self._clients.move_to_end(network)
            while len(self._clients) > MOST_CLIENTS:
                self._clients.popitem(last=False)
        log.warning("A wrong token came from %r.", client)

    def __len__(self) -> int:
        return len(self._clients)


def _client_network(client: str) -> str:
    """Return the network that counts as one client: of IPv6, where one client has addresses by the million, 64 bits."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client[:64]  # a proxy may report anything
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
