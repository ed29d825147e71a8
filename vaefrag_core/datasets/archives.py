"""Published data sets that users download themselves: which files they consist of, and where to get them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from vaefrag_core.datasets.image_cache import cache_folder
from vaefrag_core.errors import MissingDataError


@dataclass(frozen=True)
class Archive:
    """A published data set.

    Args:
        name: the name listed by `vaefrag datasets`.
        contents: the files it consists of, in words.
        url: the page of its authors.
        find_files: finds its files at a path; returns none of them when one is missing.
        package: the package that reads it, when vaefrag does not depend on it, and the extra that installs it.
    """

    name: str
    contents: str
    url: str
    find_files: Callable[[Path], Sequence[Path]]
    package: tuple[str, str] | None = None

    def files(self, path: str | Path | None) -> Sequence[Path]:
        """Find the files at a path, or else in the cache folder of this data set.

        Raises:
            MissingDataError: when a file or the package is missing.
        """
        files = self.find_files(cache_folder(self.name) if path is None else Path(path))
        if not files and path is not None:
            raise MissingDataError(
                f"{self.name!r} needs {self.contents}, got {path}, where that is missing. It comes from {self.url}."
            )
        available, location = self.availability(files)
        if not available:
            raise MissingDataError(f"The data set {self.name!r} cannot be used: {location}.")
        return files

    def availability(self, files: Sequence[Path] | None = None) -> tuple[bool, str]:
        """Return whether the data set can be used, and its folder or what is missing."""
        files = self.find_files(cache_folder(self.name)) if files is None else files
        if not files:
            return False, f"needs {self.contents}, in {cache_folder(self.name)} or given as --path; from {self.url}"
        if self.package and find_spec(self.package[0]) is None:
            return False, f"needs the package {self.package[0]}: pip install 'vaefrag[{self.package[1]}]'"
        return True, str(files[0].parent)


def single_file(name: str) -> Callable[[Path], Sequence[Path]]:
    """Return a function that finds an archive of one file, from the path of its folder or of the file."""

    def find_files(path: Path) -> Sequence[Path]:
        file = path / name if path.is_dir() else path
        return [file] if file.is_file() and file.suffix == Path(name).suffix else []

    return find_files
