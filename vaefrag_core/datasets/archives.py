"""Data sets that others publish as archives: what must lie in their folder, and where it is to be had."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from vaefrag_core.datasets.image_cache import home
from vaefrag_core.errors import MissingDataError


@dataclass(frozen=True)
class Archive:
    """A published data set.

    Args:
        name: as listed by `vaefrag datasets`.
        wanted: what its folder holds, in words.
        source: the address of its authors.
        find: gives its files in a folder, or none when one is missing.
        needs: a package that reads it and does not come with vaefrag, and the extra that brings it.
    """

    name: str
    wanted: str
    source: str
    find: Callable[[Path], Sequence[Path]]
    needs: tuple[str, str] | None = None

    def files(self, path: str | Path | None) -> Sequence[Path]:
        """Find the files, in the folder that is given or where files of this data set are kept.

        Raises:
            MissingDataError: when they are not there, or the package is missing.
        """
        found = self.find(home(self.name) if path is None else Path(path))
        if not found and path is not None:
            raise MissingDataError(
                f"{self.name!r} needs {self.wanted}, got {path}, where that is missing. It comes from {self.source}."
            )
        here, where = self.locate(found)
        if not here:
            raise MissingDataError(f"The data set {self.name!r} cannot be used: {where}.")
        return found

    def locate(self, found: Sequence[Path] | None = None) -> tuple[bool, str]:
        """Say whether it can be used, and where it is or what is missing."""
        found = self.find(home(self.name)) if found is None else found
        if not found:
            return False, f"needs {self.wanted}, in {home(self.name)} or given as --path; from {self.source}"
        if self.needs and find_spec(self.needs[0]) is None:
            return False, f"needs the package {self.needs[0]}: pip install 'vaefrag[{self.needs[1]}]'"
        return True, str(found[0].parent)


def one_file(name: str) -> Callable[[Path], Sequence[Path]]:
    """Find an archive that is one file: in its folder, or given itself."""

    def find(path: Path) -> Sequence[Path]:
        file = path / name if path.is_dir() else path
        return [file] if file.is_file() and file.suffix == Path(name).suffix else []

    return find
