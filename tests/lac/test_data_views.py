"""Two views of a clip: true frame numbers, none twice, all decided by the generator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lac.data import TwoViews


@given(
    length=st.integers(2, 200),
    frames=st.integers(2, 64),
    min_crop=st.floats(0.01, 1.0),
    seed=st.integers(0, 2**32),
)
def test_views_are_rising_frame_numbers_of_the_clip(length, frames, min_crop, seed):
    views = TwoViews(frames=frames, min_crop=min_crop)(length, np.random.default_rng(seed))
    for view in views:
        assert 2 <= len(view) <= min(frames, length)
        assert (np.diff(view) > 0).all() and view[0] >= 0 and view[-1] < length


@given(length=st.integers(2, 200), seed=st.integers(0, 2**32))
def test_crops_of_half_the_clip_meet(length, seed):
    first, second = TwoViews(frames=length, min_crop=0.5)(length, np.random.default_rng(seed))
    assert first[0] <= second[-1] + 1 and second[0] <= first[-1] + 1


def test_place_length_and_rate_of_crops_vary():
    draw = TwoViews(frames=16, min_crop=0.5)
    rng = np.random.default_rng(0)
    views = [view for _ in range(200) for view in draw(64, rng)]
    starts, spans = np.array([(view[0], np.ptp(view)) for view in views]).T
    assert starts.min() < 3 and starts.max() > 25
    assert spans.min() < 36 and spans.max() > 58
    assert np.unique(np.concatenate(views)).tolist() == list(range(64))


def test_a_long_clip_fills_the_view_and_a_short_one_gives_what_it_has():
    rng = np.random.default_rng(0)
    assert all(len(view) == 16 for view in TwoViews(frames=16, min_crop=0.5)(40, rng))
    assert [view.tolist() for view in TwoViews(frames=16, min_crop=1.0)(5, rng)] == [
        [0, 1, 2, 3, 4]
    ] * 2


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ValueError, match="`frames` must be >= 2, got 1"):
        TwoViews(frames=1)
    for wrong in (0.0, 1.5):
        with pytest.raises(ValueError, match=f"`min_crop` must be in .*, got {wrong}"):
            TwoViews(frames=8, min_crop=wrong)
