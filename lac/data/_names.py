"""Names of files: which of them count, which come first, and which are the same."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path


def visible(paths: Iterable[Path], root: Path | None = None) -> Iterator[Path]:
    """Yield the paths that are not hidden, nor in a hidden folder below `root` if it is given.

    Hidden files are no data: macOS writes a `._name` beside every file on foreign disks.
    """
    for path in paths:
        parts = (path.name,) if root is None else path.relative_to(root).parts
        if not any(part.startswith(".") for part in parts):
            yield path


def by_number(path: Path) -> tuple[list[str | int | Decimal], str]:
    """Return a key that sorts frame 2 before frame 10: numbers in names count as numbers.

    A name that is a decimal number, such as a time, is that number.
    """
    stem = normal(path.stem)
    if re.fullmatch(r"-?\d+\.\d+|-\d+", stem):
        return ["", Decimal(stem), ""], path.name
    words: list[str | int | Decimal] = [*re.split(r"(\d+)", stem)]
    words[1::2] = [int(word) for word in words[1::2]]
    return words, path.name


def normal(name: str) -> str:
    """Return a name in Unicode's composed form; file systems keep it in one or the other."""
    return unicodedata.normalize("NFC", name)
