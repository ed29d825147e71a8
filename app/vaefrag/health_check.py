"""The health check that a container runs: whether the pages, or the engine, answer."""

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from vaefrag.auth.guard import HEALTH, READY
from vaefrag.auth.token import reachable_address
from vaefrag.jobs.engine_process import engine_state
from vaefrag_core.errors import MissingDataError

if TYPE_CHECKING:
    from vaefrag.settings import Settings

TIMEOUT_SECONDS = 5
NOT_READY = 503


def check_pages(settings: "Settings") -> dict[str, Any]:
    """Return the health of the pages, as they report it.

    Args:
        settings: the settings, which say where the pages are served.

    Raises:
        MissingDataError: when nothing answers there, or another program does.
    """
    url, health = _ask_pages(settings, HEALTH)
    if health.get("web") is not True:
        raise MissingDataError(f"Expected pages at {url}, got the answer of something else.")
    return health


def check_readiness(settings: "Settings") -> dict[str, Any]:
    """Return whether the pages take work, as they report it.

    Args:
        settings: the settings, which say where the pages are served.

    Raises:
        MissingDataError: when nothing answers there, or something that work needs is not well; it says what.
    """
    url, parts = _ask_pages(settings, READY)
    if not parts.get("ready"):
        reasons = {
            "record": "the record of jobs is damaged or cannot be written (`vaefrag jobs list` says more)",
            "disk": f"its disk has fewer than {settings.least_free_mb:,.0f} MB left",
            "engine": "no engine responds (`vaefrag health --engine` says more)",
        }
        wrong = [reason for part, reason in reasons.items() if parts.get(part) is not True]
        raise MissingDataError(f"{url}: {'; '.join(wrong)}.")
    return parts


def _ask_pages(settings: "Settings", path: str) -> tuple[str, dict[str, Any]]:
    """Return an address of the pages, and what they answer there."""
    name = reachable_address(settings.host)
    url = f"http://{f'[{name}]' if ':' in name else name}:{settings.port}{settings.url_prefix}{path}"
    try:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
                content = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != NOT_READY:
                raise
            with error:
                content = json.load(error)
    except (OSError, ValueError) as error:
        raise MissingDataError(f"Expected pages at {url}, got no answer of theirs: {error}.") from None
    if not isinstance(content, dict):
        raise MissingDataError(f"Expected pages at {url}, got the answer of something else.")
    return url, content


def check_engine(settings: "Settings") -> dict[str, Any]:
    """Return the health of the workspace's engine.

    Args:
        settings: the settings, which name the workspace.

    Raises:
        MissingDataError: when there is no engine, or it is not ready.
    """
    state = engine_state(settings.workspace)
    if not state.address:
        raise MissingDataError(f"{settings.workspace} has no engine that takes work. `vaefrag engine` is one.")
    if not state.responds(settings.engine_silent_seconds):
        raise MissingDataError(
            f"The engine of {settings.workspace} has not been heard of for {state.silent_seconds:.0f} s, though its"
            f" process {state.pid or ''} is there. End it by `kill -9 {state.pid or 'PID'}`; the next one goes on from"
            " the last checkpoints."
        )
    return {"engine": True, "address": state.address}
