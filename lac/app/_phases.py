"""The phases of a video: marks as the page has them, labels of frames as training wants them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TIMES = "times.npz"  # of all frames, by the ids of videos, of a labelling that is done
_AHEAD = 1e-3  # seconds by which a player may stand before the frame that it shows


def frame_phases(
    marks: Sequence[Mapping[str, Any]], times: np.ndarray, phase_names: Sequence[str]
) -> np.ndarray:
    """Return the index of each frame's phase (T,), given the seconds at which phases begin.

    A phase begins with the frame that a player shows at its time.
    """
    begins = np.array([mark["begin"] for mark in marks])
    shown = np.searchsorted(times, begins + _AHEAD, side="right") - 1
    places = np.array([phase_names.index(mark["phase"]) for mark in marks])
    phases: np.ndarray = places[np.searchsorted(shown, np.arange(len(times)), side="right") - 1]
    return phases
