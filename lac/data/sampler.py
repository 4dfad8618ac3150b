"""Which clip comes when: the order of an epoch, decided by the seed and shared by processes."""

from collections.abc import Iterator

import numpy as np
from torch import distributed
from torch.utils.data import Sampler

from lac.data.dataset import Place


class EpochSampler(Sampler[Place]):
    """Yield (epoch, visit, clip): the epoch travels with the index, so workers can live on.

    Each of several training processes takes every so many-th, so that together they see the
    batches that one process with larger batches would; the first are seen again where the number
    of clips is no multiple of theirs.

    Parameters
    ----------
    clips : int
        How many there are.
    visits : int
        How often an epoch visits each.
    seed : int
        Decides their order, with the epoch and the visit.
    shuffle : bool
        Whether there are epochs and an order to decide; the same in every epoch if not.
    """

    def __init__(self, clips: int, visits: int, seed: int, *, shuffle: bool):
        """Keep the settings; the epoch is 0."""
        self.clips, self.visits, self.seed, self.shuffle = clips, visits, seed, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the epoch from the trainer, which calls this before each."""
        self.epoch = epoch if self.shuffle else 0

    def __len__(self) -> int:
        """Return how many this process sees."""
        return -(-self.clips * self.visits // _processes()[1])

    def __iter__(self) -> Iterator[Place]:
        """Yield what this process sees."""
        rank, processes = _processes()
        everything = list(self._all())
        everything += everything[: len(self) * processes - len(everything)]
        return iter(everything[rank::processes])

    def _all(self) -> Iterator[Place]:
        """Yield what all processes together see in an epoch."""
        for visit in range(self.visits):
            order = np.arange(self.clips)
            if self.shuffle:
                order = np.random.default_rng([self.seed, self.epoch, visit]).permutation(order)
            for clip in order.tolist():
                yield self.epoch, visit, clip


def _processes() -> tuple[int, int]:
    """Return the number of this training process, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
