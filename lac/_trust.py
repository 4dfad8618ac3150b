"""How far an alignment can be trusted: does it say more than one of unrelated videos would?"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

import fastsw

_SHUFFLES = 4
# Logistic regression of whether two videos show one course of movement on the logarithm of
# `Trust.reversed`, fitted by docs/measure_trust.py on lite0's alignments: docs/results/alignment.md
# says on which pairs, and how well it holds elsewhere.
_INTERCEPT, _SLOPE = -0.310, 3.174
_FLOOR = 3.0  # added to scores before their ratio is taken: small ones tell little
_SURE = 0.8  # least probability of what is stated without reserve


@dataclass(frozen=True)
class Trust:
    """How far an alignment of two videos can be trusted.

    Attributes
    ----------
    shares : tuple of two floats
        Share of the first and of the second video's frames that are matched.
    entropy : float
        Mean entropy of the partner of a frame, in nats, over the frames of both videos, each
        weighted by how likely it has one.
    reversed : float
        Score over that of the second video played backwards, which has the same pictures at the
        same pace in a wrong order. About 1: their order says nothing.
    shuffled : float
        Score over the mean of those of the second video with its frames in random order.
    probability : float
        That the two show the same course of movement, if that is as likely as not beforehand:
        two signs that differ in the fingers alone are the same. From `reversed`, by a logistic
        regression for `lite0`; for other embeddings it is a guide. A movement that is the same
        backwards leaves it unsure.

    Examples
    --------
    >>> print(Trust((0.9, 0.8), entropy=1.4, reversed=1.02, shuffled=1.3, probability=0.55))
    Unsure whether these match (probability 0.55): 90 % and 80 % of the frames are paired, each \
with one of about 4 frames; the score is 1.0 times that of the second played backwards, 1.3 times \
that of its frames shuffled.
    """

    shares: tuple[float, float]
    entropy: float
    reversed: float
    shuffled: float
    probability: float

    @property
    def verdict(self) -> Literal["match", "unsure", "no match"]:
        """The probability in words: from 0.8 a match, up to 0.2 none."""
        if self.probability >= _SURE:
            return "match"
        return "no match" if self.probability <= 1 - _SURE else "unsure"

    def __str__(self) -> str:
        """Say it in one sentence."""
        words = {
            "match": "These match",
            "unsure": "Unsure whether these match",
            "no match": "These do not seem to match",
        }
        first, second = (f"{100 * share:.0f} %" for share in self.shares)
        return (
            f"{words[self.verdict]} (probability {self.probability:.2f}): {first} and {second} of"
            f" the frames are paired, each with one of about {math.exp(self.entropy):.0f} frames;"
            f" the score is {self.reversed:.1f} times that of the second played backwards,"
            f" {self.shuffled:.1f} times that of its frames shuffled."
        )


def measure_trust(
    similarity: np.ndarray,
    posterior: np.ndarray,
    pairs: np.ndarray,
    *,
    gap_open: float,
    gap_extend: float,
    temperature: float,
) -> Trust:
    """Compare an alignment with those of the second video reversed and shuffled.

    Parameters
    ----------
    similarity, posterior : ndarray of float32, shape (T, U)
        What was aligned, and its posterior.
    pairs : ndarray of int, shape (K, 2)
        Matched frames.
    gap_open, gap_extend, temperature : float
        What it was aligned with.
    """

    def score(order: np.ndarray) -> float:
        """Return the score of the second video's frames in an order, at least 0, over T."""
        found = fastsw.score(
            np.ascontiguousarray(similarity[:, order]),
            gap_open=gap_open,
            gap_extend=gap_extend,
            temperature=temperature,
        )
        return max(float(found), 0.0) / temperature

    frames = np.arange(similarity.shape[1])
    rng = np.random.default_rng(0)
    forward, backward = score(frames), score(frames[::-1])
    shuffled = np.mean([score(rng.permutation(frames)) for _ in range(_SHUFFLES)])
    against_reversed = (forward + _FLOOR) / (backward + _FLOOR)
    logit = _INTERCEPT + _SLOPE * math.log(against_reversed)
    return Trust(
        shares=(len(pairs) / similarity.shape[0], len(pairs) / similarity.shape[1]),
        entropy=_partner_entropy(posterior),
        reversed=against_reversed,
        shuffled=float((forward + _FLOOR) / (shuffled + _FLOOR)),
        probability=1 / (1 + math.exp(-logit)) if len(pairs) else 0.0,
    )


def _partner_entropy(posterior: np.ndarray) -> float:
    """Return the mean entropy of a frame's partner, frames weighted by how likely they have one.

    With p a posterior and r the sum of its row, a row has r times the entropy of p / r, which is
    r log r - sum p log p; columns likewise.
    """
    sums = [posterior.sum(axis, dtype=np.float64) for axis in (0, 1)]
    total = sums[0].sum()
    if not total > 0:
        return math.log(max(posterior.shape))
    inside = _times_log(posterior).sum(dtype=np.float64)
    return float((sum(_times_log(side).sum() for side in sums) / 2 - inside) / total)


def _times_log(p: np.ndarray) -> np.ndarray:
    """Return p log p, 0 at 0."""
    found: np.ndarray = p * np.log(p, out=np.zeros_like(p), where=p > 0)
    return found
