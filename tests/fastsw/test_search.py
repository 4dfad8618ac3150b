"""The best of a database are those of a full table, sorted, whatever the tiles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastsw
from fastsw._collections import progress, searching, tiles

OPTIONS = dict(gap_open=1.0, gap_extend=0.3)


def draw(count, seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, 5)).astype(dtype) for n in rng.integers(1, 40, count)]


@pytest.mark.parametrize("cells", [1, 900, 2**22])
@pytest.mark.parametrize("k", [1, 4, 30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_best_are_those_of_the_table(k, cells, dtype, monkeypatch):
    queries, database = draw(7, 1, dtype), draw(30, 2, dtype)
    options = dict(OPTIONS, kind="cosine", scale=3.0, offset=-0.5, mode="fitting", temperature=0.5)
    table = fastsw.all_pairs(queries, database, **options)
    monkeypatch.setattr(tiles, "TILE_CELLS", cells)
    found = fastsw.search(queries, database, k, **options)
    assert found.scores.dtype == dtype and found.scores.shape == found.indices.shape == (7, k)
    order = np.argsort(-table, axis=1)[:, :k]
    np.testing.assert_array_equal(found.indices, order)
    rounding = {"float32": 1e-5, "float64": 1e-12}[dtype]  # of products in tiles of another shape
    expected = np.take_along_axis(table, order, axis=1)
    np.testing.assert_allclose(found.scores, expected, rtol=rounding, atol=rounding)


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_tables_with_ties_and_holes_are_ranked_piece_by_piece(data):
    values = st.sampled_from([np.nan, -np.inf, -1.0, 0.0, 2.0, 2.5])
    table = np.array(data.draw(st.lists(st.lists(values, min_size=9, max_size=9), min_size=1)))
    order = np.array(data.draw(st.permutations(range(9))))
    k = data.draw(st.integers(1, 9))
    shape = len(table), k
    best = searching.Ranking(np.full(shape, -np.inf), np.full(shape, -1))
    for columns in np.split(order, [2, 3, 7]):
        searching._update(best, np.arange(len(table)), columns, table[:, columns])
    for row, scores, indices in zip(table, *best, strict=True):
        expected = sorted((-score, j) for j, score in enumerate(row) if score > -np.inf)[:k]
        expected += [(np.inf, -1)] * (k - len(expected))
        assert [*zip((-scores).tolist(), indices.tolist(), strict=True)] == expected


def test_a_sequence_with_nan_is_never_found():
    queries, database = draw(3, 1), draw(5, 2)
    expected = fastsw.search(queries, database[:2] + database[3:], 4, **OPTIONS)
    database[2][0] = np.nan
    found = fastsw.search(queries, database, 5, **OPTIONS)
    np.testing.assert_allclose(found.scores[:, :4], expected.scores, rtol=1e-12)
    kept = np.array([0, 1, 3, 4])
    np.testing.assert_array_equal(found.indices[:, :4], kept[expected.indices])
    assert (found.scores[:, 4] == -np.inf).all() and (found.indices[:, 4] == -1).all()
    queries[1][0] = np.nan
    assert (fastsw.search(queries, database, 2, **OPTIONS).indices[1] == -1).all()


def test_packed_databases_and_progress(tmp_path, capsys, monkeypatch):
    queries, database = draw(3, 1), draw(9, 2)
    offsets = np.cumsum([0, *map(len, database)])
    np.save(tmp_path / "packed.npy", np.concatenate(database))
    packed = np.load(tmp_path / "packed.npy", mmap_mode="r"), offsets
    monkeypatch.setattr(progress, "EVERY", 0.0)
    found = fastsw.search(queries, packed, 2, progress=True, **OPTIONS)
    assert capsys.readouterr().err.startswith("Aligning tiles of pairs: 1 of ")
    for one, other in zip(found, fastsw.search(queries, database, 2, **OPTIONS), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, "`k` must lie between 1 and the 5 sequences of `database`, got 0"),
        ({"k": 6}, ValueError, "`k` must lie between 1 and the 5"),
        ({"k": 2.0}, TypeError, "`k` must be an integer"),
        ({"k": True}, TypeError, "`k` must be an integer"),
        ({"queries": []}, ValueError, "`queries` must hold"),
        ({"database": [np.zeros((2, 6))]}, ValueError, r"`database\[0\]` .*`queries`, got 6"),
        ({"kind": "dots"}, ValueError, "`kind` must be one of"),
        ({"gap_open": np.ones(3)}, ValueError, "`gap_open` must be a number or a tuple"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = dict(OPTIONS, queries=draw(3, 1), database=draw(5, 2), k=2)
    with pytest.raises(error, match=message):
        fastsw.search(**{**arguments, **change})
