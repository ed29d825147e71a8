"""The access token: where it is found, how one is made, and when there has to be one."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from vaefrag.loopback import is_loopback
from vaefrag_core.errors import InvalidInputError

if TYPE_CHECKING:
    from vaefrag.settings import Settings

KEPT_IN = "token"  # within the workspace
LEAST_CHARACTERS = 20
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # what stands for every address → one that can be opened


def find_token(settings: "Settings") -> str | None:
    """Give the token that guards the pages: the setting, the file it names, or the one kept in the workspace.

    Args:
        settings: name the token, its file and the address to listen on.

    Returns:
        The token; None when there is none, and the pages are for this machine alone.

    Raises:
        InvalidInputError: when it is too short, its file cannot be read, or there is none although other machines could
            reach the pages.
    """
    if settings.token is not None:
        token, source = settings.token.get_secret_value().strip(), "VAEFRAG_TOKEN"
    else:
        path = settings.token_file or settings.workspace / KEPT_IN
        if settings.token_file is None and not path.is_file():
            _stay_at_home(settings.host)
            return None
        token, source = _read(path), str(path)
    if len(token) < LEAST_CHARACTERS:
        raise InvalidInputError(
            f"The access token from {source} has {len(token)} characters; it needs {LEAST_CHARACTERS} or more."
            " Take a longer one; without it, `vaefrag serve --new-token` makes one."
        )
    return token


def make_token(settings: "Settings") -> tuple[str, Path]:
    """Make a token and keep it in the workspace, in place of an earlier one; whoever came in by that one is out.

    Args:
        settings: name the workspace.

    Returns:
        The token, and the file it is kept in, readable by this user alone.

    Raises:
        InvalidInputError: when the settings name another token, which would win over this one.
    """
    if settings.token is not None or settings.token_file is not None:
        where = "VAEFRAG_TOKEN" if settings.token is not None else f"the file {settings.token_file}"
        raise InvalidInputError(
            f"The access token is set by {where}, which wins over one kept in the workspace. Change it there."
        )
    token, path = secrets.token_urlsafe(32), settings.workspace.absolute() / KEPT_IN
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{KEPT_IN}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{token}\n")
    fresh.replace(path)
    return token, path


def reachable(host: str) -> str:
    """Give an address by which this machine reaches what listens on another, which may stand for all."""
    return EVERYWHERE.get(host, host)


def _stay_at_home(host: str) -> None:
    if not is_loopback(host.lower()):
        raise InvalidInputError(
            f"Whoever reaches {host} would see and steer everything in this workspace, so pages are served there only"
            " with an access token. `vaefrag serve --new-token` makes one; or set VAEFRAG_TOKEN."
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"The access token is to be read from {path}, which cannot be read: {error}. Name another by"
            " VAEFRAG_TOKEN_FILE, or set VAEFRAG_TOKEN."
        ) from None
