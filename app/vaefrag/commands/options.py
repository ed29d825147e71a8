"""What several commands share: options, ids of ensembles or sets, files to write, and errors named by option."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaefrag import terminal
from vaefrag_core.errors import InvalidInputError, MissingDataError, VaefragError

if TYPE_CHECKING:
    from vaefrag_core.artifacts import Posteriors
    from vaefrag_core.channel_sets import SetStore
    from vaefrag_core.ensemble_store import EnsembleStore

Workspace = Annotated[
    Path | None,
    typer.Option(help="Folder of the ensembles.", show_default="VAEFRAG_WORKSPACE, or ./data"),
]


class EstimatorChoice(StrEnum):
    """Estimators of information."""

    bound = "bound"
    exact = "exact"


EstimatorOption = Annotated[
    EstimatorChoice, typer.Option(help="Of information: the published bound, or exact integrals.")
]


class DeviceName(StrEnum):
    """Devices of the engine's own machine."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


Device = Annotated[
    DeviceName | None,
    typer.Option(
        help="Where networks train: a GPU that is found, the CPU, or one that has to be there.", show_default="auto"
    ),
]
MANY_IMAGES = 5_000  # from which on a comparison may take long
MANY_IMAGES_AGAIN = 2_000  # from which on many comparisons may
LONG_SECONDS = 300.0  # of a comparison, from which on it is said beforehand
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to standard output.")]


def is_set(source: str, store: "EnsembleStore", sets: "SetStore") -> bool:
    """Return whether an id that was typed is that of a saved set, and not of an ensemble.

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


def check_output(path: Path, *, replace: bool) -> None:
    """Refuse a file that could not be written, before anything is computed for it.

    Args:
        path: of the file.
        replace: whether it may take the place of a file that is there.

    Raises:
        InvalidInputError: when one is there and may not be replaced, or the folder is not there.
    """
    if path.exists() and not replace:
        raise InvalidInputError(f"{path} is there already. Name another file by --output, or give --replace.")
    if not path.absolute().parent.is_dir():
        raise InvalidInputError(f"Expected a folder {path.absolute().parent}, which is not there. Make it first.")


def write_posteriors(posteriors: "Posteriors", path: Path, *, replace: bool) -> None:
    """Write a posteriors file.

    Args:
        posteriors: what is written.
        path: of the file.
        replace: whether it may take the place of a file that is there.

    Raises:
        InvalidInputError: see `check_output`.
    """
    from vaefrag_core.ensemble_store import replacing

    check_output(path, replace=replace)
    with replacing(path) as temporary:
        posteriors.save(temporary)


def flag(option: str) -> str:
    """Return an option as it is typed.

    Example:
        >>> flag("batch_size")
        '--batch-size'
    """
    return f"--{option.replace('_', '-')}"


@contextmanager
def by_option(fields_of_options: Mapping[str, str | Sequence[str]]) -> Iterator[None]:
    """Let an error name the options that were typed, in place of the fields of a config that they stand for.

    Args:
        fields_of_options: the dotted name of the field, or of several, that each option sets.
    """
    options = {
        field: flag(option)
        for option, fields in fields_of_options.items()
        for field in ([fields] if isinstance(fields, str) else fields)
    }
    try:
        yield
    except VaefragError as error:
        options_of_texts: dict[str, list[str]] = {}  # a sentence about several options is printed once
        for field, sentence in error.fields.items():
            # A field within the option's, such as `train.widths.2`, is the option's as well.
            option = next((o for f, o in options.items() if field == f or field.startswith(f"{f}.")), "")
            # After "--beta:", the sentence goes on.
            text = f"e{sentence[1:]}" if sentence.startswith("Expected ") else sentence
            named = options_of_texts.setdefault(text if option else sentence, [])
            if option and option not in named:
                named.append(option)
        if options_of_texts:
            texts = (f"{', '.join(named)}: {text}" if named else text for text, named in options_of_texts.items())
            error.args = (" ".join(texts),)
        raise


def warn_of_long_comparison(
    n_channels: int, n_images: int, *, comparisons: float = 1, threads: int | None = None
) -> None:
    """Say before they begin that comparisons of all channels by the bound take long.

    Args:
        n_channels: C.
        n_images: N.
        comparisons: how many are made of N images, one after the other.
        threads: CPU threads that it takes; None for as many as torch uses.
    """
    if n_images <= (MANY_IMAGES if comparisons == 1 else MANY_IMAGES_AGAIN):
        return  # to try it takes a second
    from vaefrag_core.structure.comparison_time import comparison_seconds

    seconds = comparisons * comparison_seconds(n_channels, n_images, threads=threads)
    if seconds > LONG_SECONDS:
        duration = f"{seconds / 3600:,.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"
        again = "" if comparisons == 1 else f", {comparisons:,.0f} times,"
        terminal.print_message(
            f"Comparing {n_channels:,} channels on {n_images:,} images{again} takes about {duration} here, and standard"
            " errors come on top: time grows with the square of the images. `vaefrag analyze --estimator exact`, whose"
            " time grows in proportion, takes a small part of that, and so does a smaller --fingerprint-size."
        )
