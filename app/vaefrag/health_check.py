"""Asks from outside whether the pages, or the engine, are alive: what a container's health check runs."""

import json
import urllib.request
from typing import TYPE_CHECKING, Any

from vaefrag.auth.token import reachable_address
from vaefrag_core.errors import MissingDataError

if TYPE_CHECKING:
    from vaefrag.settings import Settings

PATIENCE_SECONDS = 5


def ask_pages(settings: "Settings") -> dict[str, Any]:
    """Give what the pages say of themselves.

    Args:
        settings: say where they are served.

    Raises:
        MissingDataError: when nothing answers there, or something else does.
    """
    name = reachable_address(settings.host)
    url = f"http://{f'[{name}]' if ':' in name else name}:{settings.port}{settings.url_prefix}healthz"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            health = json.load(answer)
    except (OSError, ValueError) as error:
        raise MissingDataError(f"Expected pages at {url}, got no answer of theirs: {error}.") from None
    if not isinstance(health, dict) or health.get("web") is not True:
        raise MissingDataError(f"Expected pages at {url}, got the answer of something else.")
    return health


def ask_engine(settings: "Settings") -> dict[str, Any]:
    """Say whether the workspace has an engine that takes work.

    Args:
        settings: name the workspace.

    Raises:
        MissingDataError: when it has none.
    """
    from vaefrag.jobs.engine_process import engine_state

    state = engine_state(settings.workspace)
    if not state.address:
        raise MissingDataError(f"{settings.workspace} has no engine that takes work. `vaefrag engine` is one.")
    return {"engine": True, "address": state.address}
