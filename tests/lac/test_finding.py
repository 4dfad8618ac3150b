"""Moments and spans of one video, found in others."""

import numpy as np
import pytest

from lac._finding import find

X = np.eye(40, dtype=np.float32)


def test_a_moment_is_found():
    found = find(X, X[10:], 17, 17)
    assert (found.first, found.nearest, found.last) == (7, 7, 7)
    assert found.score > 0.9


def test_a_moment_is_told_from_its_likes_by_what_is_around_it():
    twice = np.concatenate([X[:10], X[5:6], X[10:20]])  # frame 10 looks like frame 5
    assert find(twice, X[:20], 5, 5).nearest == 5
    assert find(X[:20], twice, 5, 5).nearest == 5


def test_a_span_is_found_at_another_pace():
    slow = find(X, X.repeat(2, 0), 10, 19)
    assert 19 <= slow.first <= 21 and 38 <= slow.last <= 40
    fast = find(X.repeat(2, 0), X, 20, 39)
    assert 9 <= fast.first <= 10 and 19 <= fast.last <= 20


def test_the_score_tells_whether_a_video_shows_it():
    assert find(X[:20], X[:20], 5, 9).score > 0.9
    without = np.delete(X, range(5, 15), 0)
    assert find(X, without, 7, 12).score < 0.2


def test_what_is_nowhere_has_a_place_all_the_same():
    found = find(X[:20], X[20:], 0, 2)
    assert 0 <= found.first <= found.nearest <= found.last < 20
    assert 0 <= found.score <= 1


@pytest.mark.parametrize(("first", "last"), [(-1, 3), (3, 2), (0, 40)])
def test_a_span_must_be_of_the_video(first, last):
    with pytest.raises(ValueError, match="`first` and `last` must be frames of 40"):
        find(X, X, first, last)
