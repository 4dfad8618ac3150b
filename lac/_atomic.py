"""Files and folders that are there whole, or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Write a file or a folder beside its place, and move it there at the end of the block.

    Whoever reads sees the old content or the new, whatever happens in between; of several
    processes that write at once, the last one wins. Only a kill leaves something behind, a hidden
    folder `.part-...` beside the target.

    Parameters
    ----------
    target : Path
        File, or folder that is new or empty. Its parents are made.

    Yields
    ------
    Path
        Where to write instead: of the same name, not there yet.

    Raises
    ------
    OSError
        If `target` is a folder that is not empty.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(Path(folder) / "runs" / "note.txt") as unfinished:
    ...         _ = unfinished.write_text("done")
    ...     (Path(folder) / "runs" / "note.txt").read_text()
    'done'
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own: the name, from whose suffix writers may learn the format, stays, and so
    # do the permissions that the user's files have.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as beside:
        unfinished = Path(beside, target.name)
        yield unfinished
        if unfinished.is_file():
            _sync(unfinished)
        os.replace(unfinished, target)


def _sync(file: Path) -> None:
    """Have the content on the disk before the name, for the case that the power fails."""
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())
