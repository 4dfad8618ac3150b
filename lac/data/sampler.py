"""Which clip comes when: the order of an epoch, decided by the seed and shared by processes."""

from collections.abc import Iterator, Sequence

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
    actions : sequence of int, optional
        What each clip shows. If given, batches are filled with clips of one action, as far as
        they go: each visit ends with those of each action that do not fill a batch.
    batch_size : int
        Clips in a batch of one process, >= 1; of use with `actions` alone.
    """

    def __init__(
        self,
        clips: int,
        visits: int,
        seed: int,
        *,
        shuffle: bool,
        actions: Sequence[int] | None = None,
        batch_size: int = 1,
    ):
        """Keep the settings; the epoch is 0."""
        self.clips, self.visits, self.seed, self.shuffle = clips, visits, seed, shuffle
        self.actions = None if actions is None else np.asarray(actions)
        self.batch_size = batch_size
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
            if self.actions is not None:
                together = self.batch_size * _processes()[1]
                order = _by_action(order, self.actions[order], together)
            for clip in order.tolist():
                yield self.epoch, visit, clip


def _by_action(order: np.ndarray, actions: np.ndarray, together: int) -> np.ndarray:
    """Bring so many clips of one action together each time, in the order of the first of them."""
    groups, rest = [], []
    for action in np.unique(actions):
        places = np.flatnonzero(actions == action)
        whole = len(places) // together * together
        groups += list(places[:whole].reshape(-1, together))
        rest.append(places[whole:])
    groups.sort(key=lambda places: int(places[0]))
    rest.sort(key=lambda places: int(places[0]) if len(places) else -1)
    arranged: np.ndarray = order[np.concatenate([*groups, *rest])]
    return arranged


def _processes() -> tuple[int, int]:
    """Return the number of this training process, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
