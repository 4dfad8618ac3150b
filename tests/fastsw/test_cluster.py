"""Collections on a Dask cluster: the same scores, whatever happens to a worker."""

import os
import signal

import numpy as np
import pytest

import fastsw
from fastsw._collections import tiles

distributed = pytest.importorskip("distributed")

OPTIONS = {"kind": "cosine", "scale": 5.0, "offset": -2.0, "gap_open": 1.0, "gap_extend": 0.3}


def sequences(count=24):
    rng = np.random.default_rng(0)
    return [rng.standard_normal((n, 8)).astype("float32") for n in rng.integers(20, 60, count)]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Of two processes with a thread each."""
    folder = tmp_path_factory.mktemp("dask")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", local_directory=folder
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def small_tiles(monkeypatch):
    """Many tiles of few pairs."""
    monkeypatch.setattr(tiles, "TILE_CELLS", 2**14)


def test_scores_are_the_same_bit_for_bit(client, small_tiles, tmp_path):
    xs = sequences()
    expected = fastsw.all_pairs(xs, **OPTIONS)
    np.testing.assert_array_equal(fastsw.all_pairs(xs, client=client, **OPTIONS), expected)
    packed = np.concatenate(xs), np.cumsum([0, *map(len, xs)])
    found = fastsw.all_pairs(packed, out=tmp_path / "scores.npy", client=client, **OPTIONS)
    np.testing.assert_array_equal(found, expected)
    pairs = np.array([[3, 4], [0, 9], [7, 7]])
    listed, here = (fastsw.all_pairs(xs, pairs=pairs, client=c, **OPTIONS) for c in (client, None))
    np.testing.assert_array_equal(listed, here)
    found, here = (fastsw.search(xs[:3], xs, 4, client=c, **OPTIONS) for c in (client, None))
    np.testing.assert_array_equal(found.scores, here.scores)
    np.testing.assert_array_equal(found.indices, here.indices)


@pytest.mark.slow
def test_a_killed_worker_costs_its_tiles(client, small_tiles, tmp_path, monkeypatch):
    from fastsw._collections import cluster

    xs, killed, first = sequences(), [], cluster._first

    def kill_one(under_way):
        if len(killed) == 0:
            killed.append(client.run(os.getpid))
            os.kill(next(iter(killed[0].values())), signal.SIGKILL)
        return first(under_way)

    monkeypatch.setattr(cluster, "_first", kill_one)
    found = fastsw.all_pairs(xs, out=tmp_path / "scores.npy", client=client, **OPTIONS)
    np.testing.assert_array_equal(found, fastsw.all_pairs(xs, **OPTIONS))
    assert killed


@pytest.mark.slow
def test_what_is_finished_is_kept_when_the_cluster_goes(small_tiles, tmp_path, monkeypatch):
    from fastsw._collections import cluster

    xs, out, first, taken = sequences(), tmp_path / "scores.npy", cluster._first, []
    with (
        distributed.LocalCluster(
            n_workers=1, processes=False, dashboard_address=":0", local_directory=tmp_path
        ) as own,
        distributed.Client(own) as client,
    ):

        def close(under_way):
            taken.append(len(taken))
            if len(taken) == 3:
                own.close()
            return first(under_way)

        monkeypatch.setattr(cluster, "_first", close)
        with pytest.raises(ConnectionError, match="`client` has lost its cluster"):
            fastsw.all_pairs(xs, out=out, client=client, **OPTIONS)
        monkeypatch.undo()
        monkeypatch.setattr(tiles, "TILE_CELLS", 2**14)
        with pytest.raises(ConnectionError, match="`client` must be connected to a cluster"):
            fastsw.all_pairs(xs, out=out, client=client, **OPTIONS)
    record = (tmp_path / "scores.npy.tiles").read_bytes().partition(b"\n")[2]
    assert 2 <= sum(record) < len(record)
    found = fastsw.all_pairs(xs, out=out, **OPTIONS)
    np.testing.assert_array_equal(found, fastsw.all_pairs(xs, **OPTIONS))


def test_what_is_no_client_is_named():
    with pytest.raises(TypeError, match=r"`client` must be a dask.distributed.Client, got str"):
        fastsw.all_pairs(sequences(2), client="tcp://127.0.0.1:8786", **OPTIONS)
    with pytest.raises(TypeError, match="`client` must be"):
        fastsw.search(sequences(2), sequences(2), 1, client=3, **OPTIONS)
