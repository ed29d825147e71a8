"""Options that several commands share, and what they ask for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaefrag_core.errors import InvalidInputError, MissingDataError, VaefragError

if TYPE_CHECKING:
    from vaefrag_core.artifacts import Posteriors
    from vaefrag_core.channel_sets import SetStore
    from vaefrag_core.ensemble_store import EnsembleStore

Workspace = Annotated[
    Path | None,
    typer.Option(help="Folder of the ensembles.", show_default="VAEFRAG_WORKSPACE, or ./data"),
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to standard output.")]


def is_set(source: str, store: "EnsembleStore", sets: "SetStore") -> bool:
    """Say whether an id that was typed is that of a saved set, and not of an ensemble.

    Raises:
        MissingDataError: when it is neither's.
        BrokenFileError: when the ensemble's spec cannot be read.
    """
    if source not in store.ids() and source in sets.ids():
        return True
    if source not in store.ids():
        raise MissingDataError(
            f"There is no ensemble and no set {source!r} in {store.workspace}. `vaefrag list` names those there are."
        )
    store.record(source)
    return False


def write_posteriors(posteriors: "Posteriors", path: Path, *, replace: bool) -> None:
    """Write a posteriors file where it was asked for.

    Args:
        posteriors: to write.
        path: of the file.
        replace: whether it may take the place of a file that is there.

    Raises:
        InvalidInputError: when one is there and may not be replaced, or the folder is not there.
    """
    from vaefrag_core.ensemble_store import replacing

    if path.exists() and not replace:
        raise InvalidInputError(f"{path} is there already. Name another file by --output, or give --replace.")
    if not path.absolute().parent.is_dir():
        raise InvalidInputError(f"Expected a folder {path.absolute().parent}, which is not there. Make it first.")
    with replacing(path) as temporary:
        posteriors.save(temporary)


def flag(option: str) -> str:
    """Give an option as it is typed."""
    return f"--{option.replace('_', '-')}"


@contextmanager
def by_option(places: Mapping[str, str | Sequence[str]]) -> Iterator[None]:
    """Let what is said to be wrong be said of the options that were typed, not of the settings that they stand for.

    Args:
        places: the dotted name of the setting, or of several, of each option.
    """
    options = {
        place: flag(option)
        for option, found in places.items()
        for place in ([found] if isinstance(found, str) else found)
    }
    try:
        yield
    except VaefragError as error:
        said: dict[str, list[str]] = {}  # what is said of several options is said once
        for field, sentence in error.fields.items():
            option = next((o for place, o in options.items() if field == place or field.startswith(f"{place}.")), "")
            text = f"e{sentence[1:]}" if sentence.startswith("Expected ") else sentence
            named = said.setdefault(text if option else sentence, [])
            if option and option not in named:
                named.append(option)
        if said:
            error.args = (" ".join(f"{', '.join(named)}: {text}" if named else text for text, named in said.items()),)
        raise
