"""Slows down who tries one token after another."""

import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

log = logging.getLogger("vaefrag.door")

FREE_ATTEMPTS = 10  # wrong tokens in a row
SECONDS_EACH = 6.0  # in which one more is granted
MOST_CLIENTS = 1_000


class SignInThrottle:
    """Counts wrong tokens by client, in a bounded space: of too many clients, the longest quiet is forgotten.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        # client → when all its attempts are forgiven, and its last wrong token
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Give the seconds that a client has to wait before it may try; 0 when it may."""
        with self._lock:
            owed = self._seen.get(_household(client), (0.0, 0))[0] - self._clock()
        return max(0.0, owed - (FREE_ATTEMPTS - 1) * SECONDS_EACH)

    def failed(self, client: str, shown: str) -> None:
        """Note a wrong token. The same one again is no guess, lest a program with the old token lock everybody out."""
        name, mark = _household(client), hash(shown)
        with self._lock:
            now = self._clock()
            forgiven_at, last = self._seen.get(name, (now, None))
            if mark == last:
                return
            self._seen[name] = (max(now, forgiven_at) + SECONDS_EACH, mark)
            self._seen.move_to_end(name)
            while len(self._seen) > MOST_CLIENTS:
                self._seen.popitem(last=False)
        log.warning("A wrong token came from %r.", client)

    def __len__(self) -> int:
        return len(self._seen)


def _household(client: str) -> str:
    """Take the addresses of an IPv6 network, which one client has by the million, for one."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client[:64]
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
