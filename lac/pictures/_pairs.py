"""The table of matched frames."""

import csv
from pathlib import Path

from lac._atomic import written_whole
from lac._matching import Matching
from lac.pictures._shown import Shown


def write_pairs(file: Path, matching: Matching, a: Shown, b: Shown) -> None:
    """Write one line for each pair of matched frames: their numbers, times and probability.

    Parameters
    ----------
    file : Path
        A CSV file. Its folder is made if it is not there.
    matching : Matching
        Of `a` and `b`.
    a, b : Shown
        The videos; frames are counted as in their files.
    """
    with written_whole(file) as unfinished, unfinished.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["a_frame", "a_time", "b_frame", "b_time", "probability"])
        for t, u in matching.alignment.pairs.tolist():
            writer.writerow(
                [
                    t * a.every,
                    f"{a.times[t]:.4f}",
                    u * b.every,
                    f"{b.times[u]:.4f}",
                    f"{matching.posterior[t, u]:.4f}",
                ]
            )
