"""What the screen of an alignment shows, as plain data; view.js draws it."""

from typing import Any

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


def alignment_view(
    matching: Matching, a: Shown, b: Shown, *, trust: Trust | None = None
) -> dict[str, Any]:
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
    dict
        For both videos in lists of two: `names`, `every`, `times` of their frames from 0 s,
        `partner` times of these in the other video, whether they are `matched`, first and last
        frames of matched `spans` and of `unmatched` ones, the `aspects` of frames, and whether
        clocks show `minutes`. Then `parts`, the matched frames (rows and columns), their
        `probability` of being right, and the `best` path alone, which has the highest score.
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
