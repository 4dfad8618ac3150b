"""Tiles on the workers of a Dask cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastsw._collections.aligner import Aligner
    from fastsw._collections.tiles import Tile

#: Tiles under way for each thread of the cluster, so that none waits for the next.
_AHEAD = 2


def check(client: Any) -> None:
    """Refuse what is no client of a running cluster with workers."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "`client` needs the package distributed: pip install 'fastsw[dask]'"
        ) from error
    if not isinstance(client, Client):
        raise TypeError(f"`client` must be a dask.distributed.Client, got {type(client).__name__}")
    if client.asynchronous:
        raise ValueError("`client` must not be asynchronous")
    if client.status != "running":
        raise ConnectionError(f"`client` must be connected to a cluster, got one {client.status}")
    if not client.nthreads():
        raise ValueError(
            "`client` must have workers, got none: `client.wait_for_workers(1)` waits for one"
        )


def answers(
    client: Any, aligner: Aligner, items: Iterable[Tile]
) -> Iterator[tuple[Tile, np.ndarray]]:
    """Yield tiles, in order, and their scores, which the threads of a cluster's workers compute.

    Sequences go to every worker once. A lost worker's tiles are computed by others.
    """
    from distributed import CancelledError, KilledWorker
    from distributed.client import ClosedClientError
    from distributed.comm import CommClosedError

    under_way: deque[Any] = deque()
    try:
        there = client.scatter(aligner, broadcast=True, hash=False)
        for item in items:
            under_way.append((item, client.submit(_scores, there, item, pure=False)))
            if len(under_way) >= _AHEAD * max(1, sum(client.nthreads().values())):
                yield _first(under_way)
        while under_way:
            yield _first(under_way)
    except (
        CancelledError,
        KilledWorker,
        ClosedClientError,
        CommClosedError,
        TimeoutError,
    ) as error:
        raise ConnectionError(
            f"`client` has lost its cluster, or all workers with the sequences ({error}); call "
            "again with one that runs: with `out`, what is finished is kept"
        ) from error
    finally:
        if under_way and client.status == "running":
            client.cancel([future for _, future in under_way], force=True)


def _first(under_way: deque[Any]) -> tuple[Tile, np.ndarray]:
    """The first tile, and its scores when they are there."""
    item, future = under_way.popleft()
    return item, future.result()


def _scores(aligner: Aligner, tile: Tile) -> np.ndarray:
    """The scores of a tile, on one thread of a worker, which has others for other tiles."""
    import numba

    numba.set_num_threads(1)
    return aligner.scores(tile)
