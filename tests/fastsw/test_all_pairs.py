"""Scores of all pairs are those of a loop over pairs, whatever the tiles, and survive a kill."""

import errno
import math
import os
import subprocess
import sys
import time
import tracemalloc

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastsw
from fastsw._collections import crew, progress, tiles

LENGTHS = [7, 1, 30, 12, 13, 29, 3, 41, 12, 2, 28, 30, 27, 12, 13, 14, 11, 12, 12, 13]
OTHER_LENGTHS = [5, 33, 12, 1]
OPTIONS = dict(gap_open=1.0, gap_extend=0.3)
KINDS = ("dot", "cosine", "neg_sqeuclidean", "inverse_sqeuclidean")

#: Of sums of some 40 similarities of up to 60. In float32 these have an error of some 3e-6 each,
#: of products and squares, which is less than what `fastsw.score` admits of such sums.
TOLERANCES = {"float64": dict(rtol=1e-10, atol=1e-10), "float32": dict(rtol=2e-5, atol=2e-4)}


def draw(lengths=LENGTHS, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((length, 5)).astype(dtype) for length in lengths]


def similarity(x, y, kind="dot", scale=1.0, offset=0.0):
    """The definition, in float64, without products of matrices."""
    x, y = x.astype(np.float64)[:, None], y.astype(np.float64)[None]
    distance = ((x - y) ** 2).sum(axis=-1)
    product = (x * y).sum(axis=-1)
    lengths = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    found = {
        "dot": product,
        "cosine": product / np.where(lengths == 0, 1, lengths),
        "neg_sqeuclidean": -distance,
        "inverse_sqeuclidean": 1 / (1 + distance),
    }
    return scale * found[kind] + offset


def loop(rows, columns, *, kind="dot", scale=1.0, offset=0.0, **options):
    """One score after another."""
    return np.array(
        [
            [fastsw.score(similarity(x, y, kind, scale, offset), **options) for y in columns]
            for x in rows
        ]
    )


@pytest.fixture(params=[1, 700, 5000])
def small_tiles(request, monkeypatch):
    """Tiles of a pair each, of few, and of many."""
    monkeypatch.setattr(tiles, "TILE_CELLS", request.param)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["local", "global", "fitting"])
def test_scores_are_those_of_a_loop(kind, mode, dtype):
    xs, ys = draw(dtype=dtype), draw(OTHER_LENGTHS, dtype, 1)
    options = dict(OPTIONS, kind=kind, mode=mode, scale=1.7, offset=-0.3, temperature=0.8)
    found = fastsw.all_pairs(xs, ys, **options)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, loop(xs, ys, **options), **TOLERANCES[dtype])
    found = fastsw.all_pairs(xs, **options)
    np.testing.assert_allclose(found, loop(xs, xs, **options), **TOLERANCES[dtype])


@pytest.mark.parametrize("mode", ["local", "global", "fitting"])
@pytest.mark.parametrize("temperature", [0.0, 0.01, 2.0])
@pytest.mark.parametrize("gap_open", [0.5, (0.5, 1.5), -0.1])
@pytest.mark.filterwarnings("ignore::fastsw.GapSignWarning")
def test_options_are_those_of_score(mode, temperature, gap_open):
    xs = draw(LENGTHS[:8])
    options = dict(mode=mode, temperature=temperature, gap_open=gap_open, gap_extend=(0.2, 0.2))
    expected = loop(xs, xs, **options)
    np.testing.assert_allclose(fastsw.all_pairs(xs, **options), expected, rtol=1e-10, atol=1e-10)
    if mode == "fitting" or gap_open == (0.5, 1.5):
        assert not np.allclose(expected, expected.T)  # so that the order was seen to matter


def test_tiles_of_any_size_give_the_same(small_tiles):
    xs, ys = draw(), draw(OTHER_LENGTHS, seed=1)
    tight = dict(rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fastsw.all_pairs(xs, **OPTIONS), loop(xs, xs, **OPTIONS), **tight)
    np.testing.assert_allclose(
        fastsw.all_pairs(xs, ys, **OPTIONS), loop(xs, ys, **OPTIONS), **tight
    )
    np.testing.assert_allclose(
        fastsw.all_pairs(ys, xs, **OPTIONS), loop(ys, xs, **OPTIONS), **tight
    )


lengths = st.lists(st.integers(1, 60), min_size=1, max_size=50)


def pairs_of(found):
    """The pairs of tiles, in order."""
    for tile in found:
        if tile.places is None:
            yield from ((int(i), int(j)) for i in tile.rows for j in tile.columns)
        else:
            yield from zip(tile.rows.tolist(), tile.columns.tolist(), strict=True)


@given(rows=lengths, columns=lengths, cells=st.integers(1, 5000), data=st.data())
@settings(max_examples=60, deadline=None)
def test_tiles_have_every_pair_once_and_fit_the_memory(rows, columns, cells, data):
    rows, columns = np.array(rows), np.array(columns)
    index = st.tuples(st.integers(0, len(rows) - 1), st.integers(0, len(columns) - 1))
    pairs = np.array(data.draw(st.lists(index, max_size=40)), int).reshape(-1, 2)
    grid = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    triangle = [(i, j) for i in range(len(rows)) for j in range(i, len(rows))]
    for found, expected, others in (
        ([*tiles.of_all(rows, columns, cells)], grid, columns),
        ([*tiles.of_unordered(rows, cells)], triangle, rows),
        ([*tiles.of_listed(pairs, rows, columns, cells)], map(tuple, pairs.tolist()), columns),
    ):
        unordered = expected is triangle
        have = [tuple(sorted(pair)) if unordered else pair for pair in pairs_of(found)]
        assert sorted(have) == sorted(expected)
        for tile in found:
            n, m = rows[tile.rows], others[tile.columns]
            count = len(n) if tile.places is not None else len(n) * len(m)
            assert count == 1 or count * n.max() * m.max() <= cells


@given(pairs=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 3)), max_size=40))
@settings(max_examples=20, deadline=None)
def test_pairs_pick_from_all(pairs):
    xs, ys = draw(), draw(OTHER_LENGTHS, seed=1)
    pairs = np.array(pairs, np.int32).reshape(-1, 2)
    found = fastsw.all_pairs(xs, ys, pairs=pairs, **OPTIONS)
    every = fastsw.all_pairs(xs, ys, **OPTIONS)
    assert found.shape == (len(pairs),)
    np.testing.assert_allclose(found, every[tuple(pairs.T)], rtol=1e-12, atol=1e-12)


def test_pairs_of_one_collection_keep_their_order():
    xs, options = draw(), dict(OPTIONS, mode="fitting")
    found = fastsw.all_pairs(xs, pairs=[[2, 4], [4, 2], [3, 3]], **options)
    expected = loop(xs, xs, **options)[[2, 4, 3], [4, 2, 3]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("order", ["C", "F"])
def test_packed_arrays_and_files_are_lists(tmp_path, order):
    xs = draw(dtype="float32")
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    packed = np.asarray(np.concatenate(xs), order=order)
    np.save(tmp_path / "packed.npy", packed)
    expected = fastsw.all_pairs(xs, **OPTIONS)
    for array in (packed, np.load(tmp_path / "packed.npy", mmap_mode="r")):
        np.testing.assert_array_equal(fastsw.all_pairs((array, offsets), **OPTIONS), expected)
    strided = [np.repeat(x, 2, axis=1)[:, ::2] for x in xs]
    np.testing.assert_array_equal(fastsw.all_pairs(strided, **OPTIONS), expected)


def test_two_arrays_in_a_tuple_are_two_sequences():
    xs = draw()[:2]
    np.testing.assert_array_equal(
        fastsw.all_pairs(tuple(xs), **OPTIONS), fastsw.all_pairs(xs, **OPTIONS)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_pairs(kind, value, recwarn):
    xs = draw()
    expected = fastsw.all_pairs(xs, kind=kind, **OPTIONS)
    xs[3][4, 2] = value
    found = fastsw.all_pairs(xs, kind=kind, **OPTIONS)
    others = np.arange(len(xs)) != 3
    np.testing.assert_allclose(
        found[np.ix_(others, others)], expected[np.ix_(others, others)], rtol=1e-10, atol=1e-10
    )
    if np.isnan(value):
        assert np.isnan(found[3]).all() and np.isnan(found[:, 3]).all()
    assert not recwarn.list


def test_an_embedding_of_zeros_has_cosine_zero_and_tiny_ones_have_theirs():
    xs = [np.zeros((2, 5)), np.full((3, 5), 1e-200), np.full((3, 5), 1e200)]
    found = fastsw.all_pairs(xs, kind="cosine", temperature=0.0, mode="global", **OPTIONS)
    np.testing.assert_allclose(found[1:, 1:], 3.0)
    assert found[0, 0] == 0.0


def test_distances_far_from_zero_keep_their_digits():
    xs = draw(dtype="float32")
    moved = [x + np.float32(1024.0) for x in xs]
    options = dict(OPTIONS, kind="neg_sqeuclidean", offset=1.0)
    exact = loop(moved, moved, **options)
    found = fastsw.all_pairs(moved, **options)
    np.testing.assert_allclose(found, exact, **TOLERANCES["float32"])


def test_memory_is_that_of_a_tile(monkeypatch):
    monkeypatch.setattr(tiles, "TILE_CELLS", 40_000)
    xs = draw([100] * 64)
    fastsw.all_pairs(xs[:2], **OPTIONS)  # compiles
    tracemalloc.start()
    fastsw.all_pairs(xs, **OPTIONS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < numba.config.NUMBA_NUM_THREADS * (
        40_000 * 8 + 1e6
    )  # all matrices together have 166 MB


def test_a_symmetric_answer_is_symmetric_to_the_bit():
    found = fastsw.all_pairs(draw(dtype="float32"), **OPTIONS)
    np.testing.assert_array_equal(found, found.T)


def test_negative_penalties_are_warned_of_once(recwarn, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_CELLS", 100)
    fastsw.all_pairs(draw(), gap_open=-0.2, gap_extend=-0.1)
    assert [w.category for w in recwarn.list] == [fastsw.GapSignWarning]
    assert recwarn.list[0].filename == __file__


def test_scores_are_written_to_a_file(tmp_path, small_tiles):
    xs, ys = draw(dtype="float32"), draw(OTHER_LENGTHS, "float32", 1)
    out = tmp_path / "scores.npy"
    found = fastsw.all_pairs(xs, ys, out=out, **OPTIONS)
    assert isinstance(found, np.memmap) and not found.flags.writeable
    np.testing.assert_array_equal(found, fastsw.all_pairs(xs, ys, **OPTIONS))
    np.testing.assert_array_equal(np.load(out), found)
    for name, options in (("pairs", {"pairs": [[1, 2], [5, 3]]}), ("one", {})):
        found = fastsw.all_pairs(xs, out=str(tmp_path / name), **OPTIONS, **options)
        np.testing.assert_array_equal(found, fastsw.all_pairs(xs, **OPTIONS, **options))


def tile_flags(out):
    """The bytes of a record."""
    return np.frombuffer(out.with_name(f"{out.name}.tiles").read_bytes().partition(b"\n")[2], "u1")


KILLED = """
import sys
import numpy as np
import fastsw
from fastsw._collections import aligner, tiles

tiles.TILE_CELLS = 700
rng = np.random.default_rng(0)
xs = [rng.standard_normal((n, 5)) for n in {lengths}]
scores = aligner.Aligner.scores
done = 0

def slow(self, tile):
    global done
    found = scores(self, tile)
    done += 1
    if done == {after}:
        print("now", flush=True)
        sys.stdin.read()
    return found

aligner.Aligner.scores = slow
fastsw.all_pairs(xs, out=sys.argv[1], gap_open=1.0, gap_extend=0.3)
"""


@pytest.mark.subprocess
@pytest.mark.parametrize("after", [1, 20])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_killed_run_goes_on_and_repeats_little(tmp_path, monkeypatch, after, threads):
    monkeypatch.setattr(tiles, "TILE_CELLS", 700)
    out, xs = tmp_path / "scores.npy", draw()
    program = KILLED.format(lengths=LENGTHS, after=after)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {**os.environ, "NUMBA_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", program, str(out)]
    with subprocess.Popen(command, env=environment, **pipes) as process:
        assert process.stdout.readline() == b"now\n"
        process.kill()  # signal 9
        process.wait()
    flags = tile_flags(out)
    # A tile a thread is under way, and with several threads one that is handed on; a thread that
    # is not stopped may finish its own.
    assert after - threads - (threads > 1) <= flags.sum() < after + threads - 1
    computed = count_tiles(monkeypatch)
    found = fastsw.all_pairs(xs, out=out, **OPTIONS)
    assert len(computed) == len(flags) - flags.sum()
    np.testing.assert_array_equal(found, fastsw.all_pairs(xs, **OPTIONS))


def count_tiles(monkeypatch):
    """The tiles that are computed from now on."""
    from fastsw._collections.aligner import Aligner

    scores, computed = Aligner.scores, []

    def counted(self, tile):
        computed.append(tile)
        return scores(self, tile)

    monkeypatch.setattr(Aligner, "scores", counted)
    return computed


def test_a_finished_run_is_not_computed_again(tmp_path, monkeypatch):
    out, xs = tmp_path / "scores.npy", draw()
    first = np.array(fastsw.all_pairs(xs, out=out, **OPTIONS))
    computed = count_tiles(monkeypatch)
    np.testing.assert_array_equal(fastsw.all_pairs(xs, out=out, **OPTIONS), first)
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    fastsw.all_pairs((np.concatenate(xs), offsets), out=out, **OPTIONS)  # the same data
    assert not computed


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("gap_open", {"gap_open": 2.0}),
        ("gap_extend", {"gap_extend": (0.3, 0.4)}),
        ("temperature", {"temperature": 0.5}),
        ("mode", {"mode": "global"}),
        ("kind", {"kind": "cosine"}),
        ("scale", {"scale": 2.0}),
        ("offset", {"offset": 0.1}),
        ("pairs", {"pairs": [[0, 1]]}),
        ("others", {"others": draw()}),
        ("sequences", {"sequences": draw(seed=1)}),
        ("sequences", {"sequences": draw(dtype="float32")}),
        ("sequences", {"sequences": draw()[:-1]}),
    ],
)
def test_other_arguments_or_data_are_refused(tmp_path, name, change):
    arguments = dict(OPTIONS, sequences=draw(), out=tmp_path / "scores.npy")
    before = np.array(fastsw.all_pairs(**arguments))
    with pytest.raises(ValueError, match=f"`out` must be of a run .* other `{name}`"):
        fastsw.all_pairs(**{**arguments, **change})
    np.testing.assert_array_equal(np.load(arguments["out"]), before)


def test_damaged_files_are_refused(tmp_path):
    arguments = dict(OPTIONS, sequences=draw(), out=tmp_path / "scores.npy")
    fastsw.all_pairs(**arguments)
    beside = tmp_path / "scores.npy.tiles"
    whole, scores = beside.read_bytes(), arguments["out"].read_bytes()
    for content, what in (
        (whole[:-1], "bytes instead of"),
        (whole + b"\0", "bytes instead of"),
        (whole[:20], "description"),
        (b"", "description"),
        (b"[1]\n", "description"),
    ):
        beside.write_bytes(content)
        with pytest.raises(ValueError, match=f"(?s)`out` must be whole.*{what}.*Remove"):
            fastsw.all_pairs(**arguments)
    beside.write_bytes(whole)
    for content, what in ((scores[:-1], "read"), (scores[:9], "read"), (b"", "read")):
        arguments["out"].write_bytes(content)
        with pytest.raises(ValueError, match=f"(?s)`out` must be whole.*{what}.*Remove"):
            fastsw.all_pairs(**arguments)
    np.save(arguments["out"], np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"`out` must be whole.*holds float64"):
        fastsw.all_pairs(**arguments)
    arguments["out"].unlink()
    with pytest.raises(ValueError, match=r"`out` must be whole.*gone"):
        fastsw.all_pairs(**arguments)
    beside.unlink()
    fastsw.all_pairs(**arguments)


def test_a_full_disk_is_an_error_before_the_work(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    xs, out = draw(), tmp_path / "scores.npy"
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full, raising=False)
        with pytest.raises(OSError, match=r"`out` cannot be written: No space left.*scores\.npy"):
            fastsw.all_pairs(xs, out=out, **OPTIONS)
    found = fastsw.all_pairs(xs, out=out, **OPTIONS)  # there is room again
    np.testing.assert_array_equal(found, fastsw.all_pairs(xs, **OPTIONS))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_answer_in_order_and_hand_errors_on(threads):
    def root(number):
        time.sleep(0.001 * (number % 3))
        return math.sqrt(number)

    assert [*crew.answers(root, range(20), threads)] == [(k, math.sqrt(k)) for k in range(20)]
    assert [*crew.answers(root, [], threads)] == []
    begun = []
    with pytest.raises(ValueError, match="math domain"):
        for item, _ in crew.answers(root, [4, 1, *[-1] * 20], threads):
            begun.append(item)
    assert begun == [4, 1]


def test_what_cannot_be_written_is_named(tmp_path):
    xs = draw()
    (tmp_path / "mine.npy").write_text("not yours")
    with pytest.raises(FileExistsError, match="`out` must not exist"):
        fastsw.all_pairs(xs, out=tmp_path / "mine.npy", **OPTIONS)
    assert (tmp_path / "mine.npy").read_text() == "not yours"
    with pytest.raises(FileNotFoundError, match="`out` cannot be written"):
        fastsw.all_pairs(xs, out=tmp_path / "nowhere" / "scores.npy", **OPTIONS)
    with pytest.raises(NotADirectoryError, match="`out` cannot be written"):
        fastsw.all_pairs(xs, out=tmp_path / "mine.npy" / "scores.npy", **OPTIONS)
    with pytest.raises(TypeError, match="`out` must be a path"):
        fastsw.all_pairs(xs, out=3, **OPTIONS)


def test_progress_is_told_where_it_is_asked_for(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(tiles, "TILE_CELLS", 700)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    fastsw.all_pairs(draw(), **OPTIONS)
    assert capsys.readouterr() == ("", "")
    for out in (None, tmp_path / "scores.npy"):
        fastsw.all_pairs(draw(), progress=True, out=out, **OPTIONS)
        lines = capsys.readouterr().err.splitlines()
        total = len(lines)
        assert lines[0].startswith(f"Aligning tiles of pairs: 1 of {total}, about ")
        assert lines[-1] == f"Aligning tiles of pairs: {total} of {total}, about 0 s left"


def test_a_terminal_has_a_bar(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert [*progress.shown(range(3), "Aligning", 3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sequences": []}, ValueError, "`sequences` must hold at least one sequence"),
        ({"sequences": np.zeros((3, 5))}, TypeError, "`sequences` must be a list.*got ndarray"),
        ({"sequences": [np.zeros((3, 5)), [[1.0]]]}, TypeError, r"`sequences\[1\]` .*got list"),
        ({"sequences": [np.zeros((3, 5), int)]}, TypeError, r"`sequences\[0\]` .*got int64"),
        ({"sequences": [np.zeros(5)]}, ValueError, r"`sequences\[0\]` must have shape"),
        ({"sequences": [np.zeros((5, 0))]}, ValueError, r"`sequences\[0\]` .*D at least 1"),
        ({"sequences": [*draw(), np.zeros((0, 5))]}, ValueError, r"`sequences\[20\]` .*empty"),
        ({"sequences": [*draw(), np.zeros((2, 6))]}, ValueError, r"`sequences\[20\]` .*5 .*got 6"),
        (
            {"sequences": [*draw(), np.zeros((2, 5), "f4")]},
            TypeError,
            r"`sequences\[20\]` .*float64, got float32",
        ),
        ({"others": [np.zeros((2, 6))]}, ValueError, r"`others\[0\]` .*5 .*`sequences`, got 6"),
        ({"others": draw(dtype="float32")}, TypeError, r"`others\[0\]` .*got float32"),
        ({"sequences": (np.zeros((9, 5)), [0, 4])}, ValueError, "offsets, .*9 .*got 0 and 4"),
        ({"sequences": (np.zeros((9, 5)), [1, 9])}, ValueError, "offsets, .*got 1 and 9"),
        ({"sequences": (np.zeros((9, 5)), [0, 7, 4, 9])}, ValueError, "fall, got 4 after 7"),
        ({"sequences": (np.zeros((9, 5)), [0, 4, 4, 9])}, ValueError, r"`sequences\[1\]` .*empty"),
        ({"sequences": (np.zeros((9, 5)), [0.0, 9.0])}, TypeError, "offsets, must be integers"),
        ({"sequences": (np.zeros((0, 5)), [0])}, ValueError, "at least one sequence"),
        ({"kind": "euclidean"}, ValueError, "`kind` must be one of 'dot', .*got 'euclidean'"),
        ({"outputs": "path"}, ValueError, "`outputs` must be 'score', got 'path'"),
        ({"scale": "1"}, TypeError, "`scale` must be a number"),
        ({"offset": np.inf}, ValueError, "`offset` must be finite"),
        ({"gap_open": np.ones(20)}, ValueError, "`gap_open` must be a number or a tuple"),
        ({"gap_extend": (np.ones(3), 1.0)}, ValueError, "`gap_extend` must be a number or a tuple"),
        ({"gap_open": np.nan}, ValueError, "`gap_open` must be finite"),
        ({"gap_open": (1.0, 2.0, 3.0)}, ValueError, "`gap_open` must be"),
        ({"temperature": -1.0}, ValueError, "`temperature` must be"),
        ({"mode": "semi"}, ValueError, "`mode` must be one of"),
        ({"pairs": [[0.0, 1.0]]}, TypeError, "`pairs` must be integers"),
        ({"pairs": [0, 1]}, ValueError, r"`pairs` must have shape \(P, 2\)"),
        ({"pairs": [[0, 1], [0, 20]]}, ValueError, "`pairs` .* 19 in column 1, got 20 for pair 1"),
        ({"pairs": [[-1, 1]]}, ValueError, "`pairs` .*column 0, got -1 for pair 0"),
    ],
)
def test_bad_input_is_named(change, error, message):
    with pytest.raises(error, match=message):
        fastsw.all_pairs(**{**OPTIONS, "sequences": draw(), **change})
