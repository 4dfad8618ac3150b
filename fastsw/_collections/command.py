"""``python -m fastsw search``: the best of a file of embeddings for those of another."""

from __future__ import annotations

import argparse
import csv
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastsw._collections.searching import search
from fastsw._embeddings.similarity import KINDS
from fastsw._types import MODES


def add_parser(commands: Any) -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "search",
        help="find for each sequence of a file the best of another",
        description="Find for each sequence of embeddings of a file the best of another, and write "
        "them as a table of tab-separated values.",
        epilog="A file is .npz with a (T, D) array a sequence, each with its name; or .npy with "
        "one (T, D) array, or several of one length, (B, T, D).",
    )
    parser.add_argument("queries", type=Path, metavar="QUERIES")
    parser.add_argument("database", type=Path, metavar="DATABASE")
    parser.add_argument("-k", type=int, default=5, help="how many of each (default: %(default)s)")
    parser.add_argument("--kind", choices=KINDS, default="cosine", help="(default: %(default)s)")
    for name, default in (("scale", 5.0), ("offset", -2.0), ("gap-open", 1.0)):
        parser.add_argument(f"--{name}", type=float, default=default, help="(default: %(default)s)")
    parser.add_argument("--gap-extend", type=float, default=0.1, help="(default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=1.0, help="(default: %(default)s)")
    parser.add_argument("--mode", choices=tuple(MODES), default="local")
    parser.add_argument("-o", "--output", type=Path, help="file for the table (default: printed)")
    parser.add_argument("--progress", action="store_true", help="tell how far it is")


def run(given: argparse.Namespace) -> int:
    """Search, and write the table; the exit code."""
    try:
        queries, database = _read(given.queries), _read(given.database)
        found = search(
            list(queries.values()),
            list(database.values()),
            min(given.k, len(database)),
            kind=given.kind,
            scale=given.scale,
            offset=given.offset,
            gap_open=given.gap_open,
            gap_extend=given.gap_extend,
            temperature=given.temperature,
            mode=given.mode,
            progress=given.progress,
        )
        if given.output is None:
            _write(sys.stdout, queries, database, found)
        else:
            with given.output.open("w", newline="") as file:
                _write(file, queries, database, found)
    except (OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _read(path: Path) -> dict[str, np.ndarray]:
    """Sequences by name. Nothing in a file is run."""
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                several = found if found.ndim == 3 else found[None]
                return {str(k): sequence for k, sequence in enumerate(several)}
            return {name: found[name] for name in found.files}
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path} must be a whole .npz or .npy file of arrays: {error}") from error


def _write(file: Any, queries: Mapping[str, Any], database: Mapping[str, Any], found: Any) -> None:
    """Write a line for each that was found."""
    table, names = csv.writer(file, delimiter="\t", lineterminator="\n"), list(database)
    table.writerow(["query", "rank", "found", "score"])
    for query, scores, indices in zip(queries, found.scores, found.indices, strict=True):
        for rank, (value, index) in enumerate(zip(scores, indices, strict=True), 1):
            if index >= 0:
                table.writerow([query, rank, names[index], f"{value:.6g}"])
