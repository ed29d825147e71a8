"""The health check that a container runs: whether the pages, or the engine, answer."""

import json
import urllib.request
from typing import TYPE_CHECKING, Any

from vaefrag.auth.token import reachable
from vaefrag_core.errors import MissingDataError

if TYPE_CHECKING:
    from vaefrag.settings import Settings

TIMEOUT_SECONDS = 5


def check_pages(settings: "Settings") -> dict[str, Any]:
    """Return the health of the pages, as they report it.

    Args:
        settings: the settings, which say where the pages are served.

    Raises:
        MissingDataError: when nothing answers there, or another program does.
    """
    name = reachable(settings.host)
    url = f"http://{f'[{name}]' if ':' in name else name}:{settings.port}{settings.url_prefix}healthz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            health = json.load(answer)
    except (OSError, ValueError) as error:
        raise MissingDataError(f"Expected pages at {url}, got no answer of theirs: {error}.") from None
    if not isinstance(health, dict) or health.get("web") is not True:
        raise MissingDataError(f"Expected pages at {url}, got the answer of something else.")
    return health


def check_engine(settings: "Settings") -> dict[str, Any]:
    """Return the health of the workspace's engine.

    Args:
        settings: the settings, which name the workspace.

    Raises:
        MissingDataError: when there is no engine, or it is not ready.
    """
    from vaefrag.jobs.engine_process import engine_state

    state = engine_state(settings.workspace)
    if not state.address:
        raise MissingDataError(f"{settings.workspace} has no engine that takes work. `vaefrag engine` is one.")
    return {"engine": True, "address": state.address}
