"""What the screen of an alignment shows, as plain data; view.js draws it."""

from typing import TypedDict

import numpy as np

import fastsw
from lac._matching import Matching
from lac._trust import Trust
from lac.pictures._shown import Shown
from lac.pictures._times import (
    in_minutes,
    matched_parts,
    matched_spans,
    partner_times,
    unmatched_spans,
)
from lac.pictures._words import heading

_DIGITS = 4  # of a second


class AlignmentView(TypedDict):
    """What the screen of an alignment shows; lists of two are of the first and the second video.

    Attributes
    ----------
    heading, trust, verdict : str
        What is said of it, and how far it can be trusted.
    names : list of str
        Of both videos.
    every : list of int
        Every so many frames of the files are frames here.
    times : list of list of float
        Of the frames, from 0 s.
    partner : list of list of float
        The time in the other video that is shown with each frame.
    matched : list of list of bool
        Whether that is its match.
    spans, unmatched : list of list of (int, int)
        First and last frames of what matches, and of what does not.
    aspects : list of float or None
        Width of a frame over its height; None without frames to show.
    minutes : list of bool
        Whether clocks show minutes.
    parts : list of list of list of int
        Rows and columns of the matched frames of each part.
    probability : list of float
        The mean posterior of each part.
    best : list of list of int
        Rows and columns of the path that alone has the highest score.
    """

    heading: str
    trust: str
    verdict: str
    names: list[str]
    every: list[int]
    times: list[list[float]]
    partner: list[list[float]]
    matched: list[list[bool]]
    spans: list[list[tuple[int, int]]]
    unmatched: list[list[tuple[int, int]]]
    aspects: list[float | None]
    minutes: list[bool]
    parts: list[list[list[int]]]
    probability: list[float]
    best: list[list[int]]


def alignment_view(
    matching: Matching, a: Shown, b: Shown, *, trust: Trust | None = None
) -> AlignmentView:
    """Return what JSON can hold of a matching.

    Parameters
    ----------
    matching : Matching
        Of `a` and `b`.
    a, b : Shown
        The videos.
    trust : Trust, optional
        How far the alignment can be trusted.

    Returns
    -------
    AlignmentView
    """
    videos = a, b
    seconds = [video.times - video.times[0] for video in videos]
    ways = matching, _exchanged(matching)
    partners = [
        partner_times(way, seconds[side], seconds[1 - side]) for side, way in enumerate(ways)
    ]
    spans = [matched_spans(matching, side) for side in (0, 1)]
    parts = matched_parts(matching)
    scoring = matching.scoring
    best = fastsw.traceback(
        matching.similarity, gap_open=scoring.gap_open, gap_extend=scoring.gap_extend
    )
    assert isinstance(best, fastsw.Alignment)
    return {
        "heading": heading(matching, a, b, trust),
        "trust": "" if trust is None else str(trust),
        "verdict": "" if trust is None else trust.verdict,
        "names": [video.name for video in videos],
        "every": [video.every for video in videos],
        "times": [times.round(_DIGITS).tolist() for times in seconds],
        "partner": [found.round(_DIGITS).tolist() for found, _ in partners],
        "matched": [matched.tolist() for _, matched in partners],
        "spans": spans,
        "unmatched": [
            unmatched_spans(found, len(video.times))
            for found, video in zip(spans, videos, strict=True)
        ],
        "aspects": [
            round(video.shape[1] / video.shape[0], _DIGITS) if video.source is not None else None
            for video in videos
        ],
        "minutes": [in_minutes(float(times[-1])) for times in seconds],
        "parts": [part.T.tolist() for part in parts],
        "probability": [
            round(float(matching.posterior[tuple(part.T)].mean()), _DIGITS) for part in parts
        ],
        "best": best.pairs.T.tolist(),
    }


def _exchanged(matching: Matching) -> Matching:
    """Return the matching of the second video with the first."""
    alignment = fastsw.Alignment(
        matching.alignment.score, np.ascontiguousarray(matching.alignment.pairs[:, ::-1])
    )
    return Matching(matching.similarity.T, matching.posterior.T, alignment, matching.scoring)
