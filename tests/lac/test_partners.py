"""Partners of frames across clips: as labels tell them, and how what is found is held to them."""

from pathlib import Path

import numpy as np
import pytest

from lac.data import Clip
from lac.evaluation._crops import Crop
from lac.evaluation._partners import _said_alone, compare_crops, true_partners


def crop(phase, start=0, stop=None, *, name="clip", progress=None):
    """A crop of a clip with these phases."""
    phase = np.asarray(phase)
    clip = Clip(name, Path(name), "val", phase, progress=progress)
    return Crop(clip, start, len(phase) if stop is None else stop, len(phase), first=True)


def places(truth):
    """Where the partners lie, of frames with one candidate each."""
    assert truth.low.shape[1] == 1
    return list(zip(truth.low[:, 0].tolist(), truth.high[:, 0].tolist(), strict=True))


def test_frames_that_have_come_equally_far_in_a_phase_are_partners():
    first, second = crop([0] * 2 + [1] * 4), crop([0] * 4 + [1] * 2)
    truth = true_partners(first, second)
    found = np.nanmin(truth.low, 1)
    # A quarter and three quarters of phase 0 lie between frames of the longer stretch.
    assert found == pytest.approx([0.5, 2.5, 4.0, 4.25, 4.75, 5.0])
    assert truth.partnered.all()
    assert truth.error(np.array([0.5, 2.0, 4.0, 5.25, 4.75, 9.0])) == pytest.approx(
        [0, 0.5, 0, 1, 0, 4]
    )


def test_a_phase_that_is_missing_or_cut_off_has_no_partners():
    first, second = crop([0, 0, 1, 1, 2, 2]), crop([0, 0, 2, 2, 2, 2], 1, 4)
    truth = true_partners(first, second)
    assert truth.partnered.tolist() == [False, True, False, False, True, False]
    assert truth.error(np.zeros(6)).tolist()[1] == 0
    assert np.isnan(truth.error(np.zeros(6))[[0, 2, 3, 5]]).all()


def test_of_a_phase_that_comes_again_every_coming_counts():
    truth = true_partners(crop([3, 3, 0]), crop([3, 3, 1, 1, 3, 3]))
    assert np.sort(truth.low[:2], 1).tolist() == [[0, 4], [1, 5]]
    assert truth.error(np.array([3.0, 1.0, 0.0]))[:2].tolist() == [1, 0]
    assert truth.partnered.tolist() == [True, True, False]


def test_known_progress_goes_before_time_and_a_pause_is_a_partner_as_a_whole():
    first = crop([0] * 4, progress=np.array([0.1, 0.5, 0.6, 0.9]))
    second = crop([0] * 5, progress=np.array([0.2, 0.5, 0.5, 0.5, 0.7]), name="other")
    truth = true_partners(first, second)
    assert places(truth) == [(0, 0), (1, 3), (3.5, 3.5), (4, 4)]
    assert truth.error(np.array([0.0, 2.0, 3.0, 4.0])).tolist() == [0, 0, 0.5, 0]


def marks(phase, scale=1.0):
    """Features of a frame that are its phase and how far it has come."""
    phase = np.asarray(phase)
    far = np.concatenate([np.linspace(0, 1, (phase == p).sum()) for p in np.unique(phase)])
    return scale * np.hstack([3 * np.eye(6)[phase], far[:, None] * np.eye(6)[phase]])


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_features_that_tell_the_partner_are_perfect_whatever_their_scale(scale):
    phases = {"a": [0] * 6 + [1] * 9 + [2] * 6, "b": [0] * 9 + [1] * 6, "c": [1] * 8 + [3] * 7}
    seen = [(crop(p, name=name), marks(p, scale)) for name, p in phases.items()]
    found = {name: measured.figure for name, measured in compare_crops(seen, seed=0).items()}
    assert found["alignment_error"] < 0.5
    assert found["alone_recall"] == 1
    # At the beginning and end of what matches, a frame of a slower clip may be left over.
    assert found["alone_precision"] > 0.9
    assert found["true_tau"] > 0.95


def test_frames_of_a_slower_clip_are_not_alone_and_long_stretches_are():
    slow = np.array([[1, 0], [3, 1], [6, 2], [13, 3]])
    assert np.flatnonzero(_said_alone(slow, 16)).tolist() == [0, *range(7, 13), 14, 15]
    assert _said_alone(slow[:0], 3).all()


def test_constant_features_find_nothing():
    phases = {"a": [0] * 8 + [1] * 8, "b": [1] * 8 + [0] * 8}
    seen = [(crop(p, name=name), np.zeros((16, 2))) for name, p in phases.items()]
    found = compare_crops(seen, seed=0)
    assert found["true_tau"].figure == 0
    assert np.isfinite(found["alignment_error"].figure)


def test_every_clip_has_its_own_values():
    phases = {"a": [0] * 6 + [1] * 6, "b": [0] * 4 + [1] * 8, "c": [2] * 9}
    seen = [(crop(p, name=name), marks(p)) for name, p in phases.items()]
    found = compare_crops(seen, seed=0)
    for measured in found.values():
        assert measured.values.keys() == measured.weights.keys() == phases.keys()
    assert found["alignment_error"].weights == {"a": 1, "b": 1, "c": 0}  # none has c's phase
    assert found["alone_recall"].weights == {"a": 12, "b": 12, "c": 18}
