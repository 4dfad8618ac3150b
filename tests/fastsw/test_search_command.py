"""`python -m fastsw search`: the same as `fastsw.search`, and one line for what is wrong."""

import csv
from pathlib import Path

import numpy as np
import pytest

import fastsw
from fastsw.__main__ import main

OPTIONS = {"kind": "cosine", "scale": 5.0, "offset": -2.0, "gap_open": 1.0, "gap_extend": 0.1}


@pytest.fixture
def files(tmp_path):
    """Queries and a database, and the paths of their files."""
    rng = np.random.default_rng(0)
    database = {f"clip {k}": rng.standard_normal((30 + k, 4)) for k in range(5)}
    queries = {"a": database["clip 3"][5:20], "b": rng.standard_normal((9, 4))}
    paths = tmp_path / "queries.npz", tmp_path / "database.npz"
    for path, sequences in zip(paths, (queries, database), strict=True):
        np.savez(path, **sequences)
    return queries, database, [str(path) for path in paths]


def read(text):
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def test_the_table_is_what_search_finds(files, tmp_path, capsys):
    queries, database, paths = files
    assert main(["search", *paths, "-k", "2"]) == 0
    rows = read(capsys.readouterr().out)
    found = fastsw.search(list(queries.values()), list(database.values()), 2, **OPTIONS)
    names = list(database)
    assert [(row["query"], row["rank"], row["found"]) for row in rows] == [
        (name, str(rank), names[index])
        for name, indices in zip(queries, found.indices, strict=True)
        for rank, index in enumerate(indices, 1)
    ]
    assert rows[0]["found"] == "clip 3"
    scores = [float(row["score"]) for row in rows]
    assert scores == pytest.approx(found.scores.ravel().tolist(), rel=1e-5)
    out = tmp_path / "found.tsv"
    assert main(["search", *paths, "-k", "2", "-o", str(out)]) == 0
    assert read(out.read_text()) == rows and capsys.readouterr().out == ""


def test_a_plain_array_is_one_sequence_or_several_and_k_at_most_all(files, tmp_path, capsys):
    _, database, (_, database_file) = files
    one, several = tmp_path / "one.npy", tmp_path / "several.npy"
    np.save(one, database["clip 1"][:10])
    np.save(several, np.stack([database[f"clip {k}"][:10] for k in (1, 2)]))
    assert main(["search", str(one), database_file, "-k", "99", "--kind", "dot"]) == 0
    assert len(read(capsys.readouterr().out)) == 5
    assert main(["search", str(several), database_file, "-k", "1", "--mode", "fitting"]) == 0
    assert [row["query"] for row in read(capsys.readouterr().out)] == ["0", "1"]


def test_what_is_wrong_is_one_line(files, tmp_path, capsys):
    _, _, (queries, database_file) = files
    cut = tmp_path / "cut.npz"
    cut.write_bytes(Path(database_file).read_bytes()[:900])
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    flat = tmp_path / "flat.npz"
    np.savez(flat, x=np.zeros(3))
    for path, message in (
        (cut, "must be a whole .npz or .npy file of arrays"),
        (objects, "must be a whole .npz or .npy file of arrays"),
        (tmp_path / "absent.npz", "No such file"),
        (flat, "`queries[0]`"),
    ):
        assert main(["search", str(path), database_file]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert main(["search", queries, database_file, "-k", "0"]) == 1
    assert "`k` must lie between 1" in capsys.readouterr().err
