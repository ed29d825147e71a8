"""Who may speak with a Dask scheduler: whoever holds a certificate of the same authority, on this machine as elsewhere.

A scheduler and its workers run what they are sent, so loopback is no shelter: every account of the machine reaches it.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from distributed.security import Security

from vaefrag.loopback import is_loopback
from vaefrag_core.errors import BusyError, InvalidInputError, MissingDataError

AUTHORITY, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"
OWN_FOLDER = "tls"  # in the folder of the job store
RUNS_CODE = "whoever reaches a Dask scheduler can run code as you"
GIVE_CERTIFICATES = "Give a folder of certificates with --tls (docs/engine.md says how to make them)"


def check_host(host: str, security: Security | None) -> None:
    """Refuse to listen beyond this machine without certificates that were made for it.

    Args:
        host: the address that a scheduler is to listen on.
        security: the certificates, from `read_security`; None for those that the engine makes for itself.

    Raises:
        InvalidInputError: when other machines can reach the address.
    """
    if security is None and not is_loopback(host):
        raise InvalidInputError(
            f"{host} can be reached from other machines, and {RUNS_CODE}. {GIVE_CERTIFICATES}, or use 127.0.0.1."
        )


def check_scheduler(address: str, security: Security | None) -> None:
    """Refuse a scheduler that others could stand behind or reach.

    Args:
        address: its address, expected to begin with tls://.
        security: the certificates, from `read_security`; None for none.

    Raises:
        InvalidInputError: when it speaks without TLS, or there are no certificates.
    """
    if urlsplit(address).scheme != "tls":
        raise InvalidInputError(
            f"{address}: expected a scheduler at tls://…, as {RUNS_CODE}. {GIVE_CERTIFICATES} to both sides."
        )
    if security is None:
        raise InvalidInputError(f"{address} needs certificates. {GIVE_CERTIFICATES}.")


def read_security(folder: Path) -> Security:
    """Read the certificates with which engine and workers prove, each to the other, that one authority signed them.

    Args:
        folder: the folder of ca.pem, cert.pem and key.pem.

    Raises:
        MissingDataError: when a file is missing.
    """
    files = (AUTHORITY, CERTIFICATE, KEY)
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise MissingDataError(f"{folder}: expected {', '.join(files)}; {', '.join(missing)} is not there.")
    return _security(*(str(folder.absolute() / name) for name in files))


def make_security(jobs: Path) -> Security:
    """Make certificates for one run of an engine, and leave them to workers of the same user on this machine.

    The engine itself goes by what it has in memory, whatever becomes of the files.

    Args:
        jobs: the folder of the job store; they lie in its folder `tls`, readable by this user alone.

    Raises:
        BusyError: when something else has taken the folder's name.
    """
    made: Security = Security.temporary()
    delete_security(jobs)
    folder = jobs / OWN_FOLDER
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise BusyError(
            f"{folder} is in the way of the engine's certificates and is no folder of the engine's. Delete it."
        ) from None
    shown = made.get_tls_config_for_role("worker")
    for name, part in ((AUTHORITY, "ca_file"), (CERTIFICATE, "cert"), (KEY, "key")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "w", encoding="ascii") as stream:
            stream.write(shown[part])
    return made


def delete_security(jobs: Path) -> None:
    """Delete what `make_security` has left; what is no folder stays."""
    with suppress(OSError):
        shutil.rmtree(jobs / OWN_FOLDER)


def _security(authority: str, certificate: str, key: str) -> Security:
    sides = {f"tls_{side}_cert": certificate for side in ("scheduler", "worker", "client")}
    sides |= {f"tls_{side}_key": key for side in ("scheduler", "worker", "client")}
    return Security(require_encryption=True, tls_ca_file=authority, **sides)
