"""Which files pages may have read as a data set: those of a few folders, whoever asks; the command line reads any."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vaefrag_core.datasets.catalog import describe_datasets
from vaefrag_core.datasets.image_cache import cache_folder
from vaefrag_core.errors import InvalidInputError

if TYPE_CHECKING:
    from vaefrag.settings import Settings

WORKSPACE_FOLDER = "datasets"


def data_folders(settings: "Settings") -> tuple[Path, ...]:
    """Return the folders whose files pages may have read: of settings, workspace, and published data sets.

    What the cache keeps of people's own files is not among them.
    """
    published = [cache_folder(entry.name) for entry in describe_datasets() if entry.path == "may"]
    return (*settings.data_folders, settings.workspace.absolute() / WORKSPACE_FOLDER, *published)


def check_data_path(path: str, folders: Sequence[Path]) -> None:
    """Refuse a path outside the folders, wherever links lead, before anything of it is looked at.

    Args:
        path: what somebody typed on a page.
        folders: what `data_folders` returned.

    Raises:
        InvalidInputError: when it lies elsewhere, or a link in it leads there; whether anything is there is not said.
    """
    try:
        roots = [folder.resolve() for folder in folders]
        inside = all(any(place.is_relative_to(root) for root in roots) for place in _places(Path(path)))
    except (OSError, RuntimeError, ValueError):  # links in a circle, a name that no file can have
        inside = False
    if not inside:
        cache = cache_folder("")
        named = [str(folder) for folder in folders if not folder.is_relative_to(cache)]
        sentence = (
            f"Pages read data sets only from {', '.join(named)} and downloads in {cache}, and not where links lead out"
            " of them. Put the files there, or start the server with --data-folder FOLDER."
        )
        raise InvalidInputError(sentence, {"dataset.path": sentence})


def _places(path: Path) -> Iterator[Path]:
    """Yield where a path leads, and then, only if whoever iterates goes on, where the links below it lead."""
    yield path.resolve()
    for folder, subfolders, files in os.walk(path):
        for name in (*subfolders, *files):
            if os.path.islink(os.path.join(folder, name)):
                yield Path(folder, name).resolve()
