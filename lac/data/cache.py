"""Arrays computed once per file content: decoded frames and features of a frozen backbone."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lac._atomic import written_whole


def default_directory() -> Path:
    """Return where arrays are kept unless told otherwise: `lac` in the user's cache folder.

    A user without a home has a folder of their own among the temporary files.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lac"
    except RuntimeError:
        owner = os.getuid() if hasattr(os, "getuid") else "user"
        return Path(tempfile.gettempdir()) / f"lac-{owner}"


class ArrayCache:
    """Keep arrays on disk under a key made of a file's content and of what was computed from it.

    Parameters
    ----------
    directory : Path
        Created at the first write. Safe to delete at any time, and to share between processes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory() as directory:
    ...     cache = ArrayCache(Path(directory))
    ...     first = cache.get(Path(file.name), "squares", lambda: np.arange(3) ** 2)
    ...     cache.get(Path(file.name), "squares", lambda: 1 / 0).tolist()
    [0, 1, 4]
    """

    def __init__(self, directory: Path):
        """Remember the folder."""
        self.directory = directory
        self._digests: dict[tuple[Path, int, int], str] = {}

    def get(self, source: Path, recipe: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the array that `recipe` makes from file `source`, computing it if it is new.

        Parameters
        ----------
        source : Path
            File, or folder of files, whose content is part of the key.
        recipe : str
            Everything else that the array depends on.
        compute : callable
            Makes the array.

        Returns
        -------
        ndarray
            Read-only, mapped from disk.
        """
        file = self._file(source, recipe)
        if not file.exists():
            array = compute()
            with written_whole(file) as unfinished:
                np.save(unfinished, array)
        kept: np.ndarray = np.load(file, mmap_mode="r")
        return kept

    def holds(self, source: Path, recipe: str) -> bool:
        """Tell whether the array that `recipe` makes from file `source` is there already."""
        return self._file(source, recipe).exists()

    def _file(self, source: Path, recipe: str) -> Path:
        """Return where an array is kept."""
        key = hashlib.sha256(f"{self._digest(source)} {recipe}".encode()).hexdigest()
        return self.directory / key[:2] / f"{key[2:40]}.npy"

    def _digest(self, source: Path) -> str:
        """Return the SHA-256 of a file, read again only when its size or time has changed."""
        if source.is_dir():
            parts = [f"{path.name} {self._digest(path)}" for path in sorted(source.iterdir())]
            return hashlib.sha256("\n".join(parts).encode()).hexdigest()
        status = source.stat()
        key = (source, status.st_size, status.st_mtime_ns)
        if key not in self._digests:
            with source.open("rb") as stream:
                self._digests[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        return self._digests[key]
