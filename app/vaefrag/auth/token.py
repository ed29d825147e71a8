"""The access token: where it comes from, how one is made, and when there has to be one."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from vaefrag.loopback import is_loopback
from vaefrag_core.ensemble_store import make_private_folder
from vaefrag_core.errors import InvalidInputError

if TYPE_CHECKING:
    from vaefrag.settings import Settings

TOKEN_FILE = "token"  # within the workspace
MIN_CHARACTERS = 20
LOOPBACK_OF_WILDCARD = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # which stand for every address, and cannot be opened


def find_token(settings: "Settings") -> str | None:
    """Return the token that guards the pages: the setting, that of the file it names, or that in the workspace.

    Args:
        settings: the token or its file, the workspace, and the address to listen on.

    Returns:
        The token; None when there is none, and the pages are for this machine alone.

    Raises:
        InvalidInputError: when it is too short, its file cannot be read, or there is none although other machines could
            reach the pages.
    """
    if settings.token is not None:
        token, source = settings.token.get_secret_value().strip(), "VAEFRAG_TOKEN"
    else:
        path = settings.token_file or settings.workspace / TOKEN_FILE
        if settings.token_file is None and not path.is_file():
            _require_loopback(settings.host)
            return None
        token, source = _read(path), str(path)
    if len(token) < MIN_CHARACTERS:
        raise InvalidInputError(
            f"The access token from {source} has {len(token)} characters; it needs {MIN_CHARACTERS} or more."
            " Take a longer one; without it, `vaefrag serve --new-token` makes one."
        )
    return token


def make_token(settings: "Settings") -> tuple[str, Path]:
    """Make a token and store it in the workspace, in place of an earlier one, whose sessions end.

    Args:
        settings: the workspace.

    Returns:
        The token, and the file it is stored in, readable by this user alone.

    Raises:
        InvalidInputError: when the settings name another token, which would win over this one.
    """
    if settings.token is not None or settings.token_file is not None:
        where = "VAEFRAG_TOKEN" if settings.token is not None else f"the file {settings.token_file}"
        raise InvalidInputError(
            f"The access token is set by {where}, which wins over one kept in the workspace. Change it there."
        )
    token, path = secrets.token_urlsafe(32), settings.workspace.absolute() / TOKEN_FILE
    make_private_folder(path.parent)
    temporary = path.with_name(f"{TOKEN_FILE}.{secrets.token_hex(4)}")
    # The mode is set as the file is made: there is no moment at which others could open it.
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{token}\n")
    temporary.replace(path)
    return token, path


def reachable_address(host: str) -> str:
    """Return an address by which this machine reaches what listens on a host, which may stand for every address."""
    return LOOPBACK_OF_WILDCARD.get(host, host)


def _require_loopback(host: str) -> None:
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
