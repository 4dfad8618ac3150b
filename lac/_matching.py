"""How the frames of two videos match: the most accurate path through the posterior."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

import fastsw
from lac._trust import Trust, measure_trust
from lac.losses import Loss

BREAK = 5  # skipped frames that end a part and begin the next


class Scoring(NamedTuple):
    """Gap penalties and temperature, as `fastsw.posterior` takes them."""

    gap_open: float
    gap_extend: float
    temperature: float


@dataclass(frozen=True, eq=False)
class Matching:
    """How the frames of two videos match.

    Attributes
    ----------
    similarity : ndarray of float32, shape (T, U)
        What was aligned: cosines over a temperature, minus their mean.
    posterior : ndarray of float32, shape (T, U)
        Probability that frame t of the first and u of the second are paired.
    alignment : fastsw.Alignment
        Pairs of frame numbers; its score is the number of them expected to be right.
    scoring : Scoring
        Gap penalties and temperature of the posterior.
    """

    similarity: np.ndarray
    posterior: np.ndarray
    alignment: fastsw.Alignment
    scoring: Scoring

    @cached_property
    def trust(self) -> Trust:
        """How far the matching can be trusted, judged by reordering the second video."""
        return measure_trust(
            self.similarity, self.posterior, self.alignment.pairs, **self.scoring._asdict()
        )

    @property
    def parts(self) -> list[np.ndarray]:
        """Pairs (K, 2) cut where more than five frames of a video are skipped."""
        steps = np.diff(self.alignment.pairs, axis=0).max(1, initial=0)
        return np.split(self.alignment.pairs, np.flatnonzero(steps > BREAK) + 1)


def match(x: np.ndarray, y: np.ndarray, *, loss: Loss | None = None) -> Matching:
    """Align two sequences of embeddings locally.

    The similarity is cosines over a temperature, less their mean: what matches no better than an
    average pair of frames should not lengthen an alignment. Of the frames that are more likely
    paired than not, those are matched that make the expected number of right pairs largest
    (maximum expected accuracy [1]_). Where similarities differ little, many paths score nearly
    alike and the best of them may be far from most.

    Parameters
    ----------
    x, y : ndarray of float32, shapes (T, D) and (U, D)
        Of unit length.
    loss : Loss, optional
        Whose temperatures and gap penalties are used, see `Loss.match_settings`.

    Returns
    -------
    Matching

    References
    ----------
    .. [1] Do, Mahabhashyam, Brudno, Batzoglou, "ProbCons: Probabilistic consistency-based
       multiple sequence alignment", Genome Research 2005.

    Examples
    --------
    >>> x = np.eye(6, dtype=np.float32)
    >>> matching = match(x[:4], x[2:])
    >>> matching.alignment.pairs.tolist()
    [[2, 0], [3, 1]]
    >>> matching.trust.verdict  # two pairs prove little
    'unsure'
    """
    settings = (loss or Loss()).match_settings()
    similarity = x @ y.T / settings.temperature
    similarity = (similarity - similarity.mean()).astype(np.float32)
    scoring = Scoring(*settings[1:])
    posterior = fastsw.posterior(similarity, **scoring._asdict())
    # A likely paired frame has a partner of more than 0.5 / its frames: what is half of that and
    # less can be no more than a pair that costs nothing.
    least = 0.25 / max(posterior.shape)
    alignment = fastsw.mea(posterior, threshold=least, min_paired=0.5)
    assert isinstance(alignment, fastsw.Alignment)  # one pair in, one alignment out
    return Matching(similarity, posterior, alignment, scoring)
