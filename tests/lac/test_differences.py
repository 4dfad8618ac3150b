"""Intervals and paired tests: known answers, and what must count as sure or unsure."""

import numpy as np
import pytest

from lac.evaluation._differences import difference, estimate


def clips(values, weights=None):
    """What is recorded of clips."""
    weights = np.full(len(values), 1 / len(values)) if weights is None else weights
    return {f"{i:02d}": [v, w] for i, (v, w) in enumerate(zip(values, weights, strict=True))}


def draw(seeds=3, count=20, gain=0.0, noise=0.02):
    """Accuracies of clips that are as hard in every run, and of a row that is better by `gain`."""
    rng = np.random.default_rng(0)
    hard = rng.uniform(0.3, 0.9, count)
    rows = rng.normal(0, noise, (2, seeds, count)) + hard
    rows[0] += gain
    return [[clips(values) for values in row] for row in rows]


def test_a_figure_is_the_weighted_mean_and_lies_in_its_interval():
    found = estimate([clips([0.2, 0.8], [0.25, 0.75]), clips([0.4, 0.6], [0.25, 0.75])])
    assert found.mean == pytest.approx((0.65 + 0.55) / 2)
    assert found.low <= found.mean <= found.high
    assert (found.low, found.high) == pytest.approx((0.3, 0.7))  # one clip or the other alone


def test_the_interval_is_about_that_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(0.5, 0.1, 200)
    found = estimate([clips(values)])
    half = 1.96 * values.std(ddof=1) / np.sqrt(200)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.05)


def test_a_small_gain_in_every_clip_is_sure_though_clips_differ_more():
    above, below = draw(gain=0.02)
    found = difference(above, below)
    assert found.mean == pytest.approx(0.02, abs=0.01)
    assert found.significant and found.low > 0
    back = difference(below, above)
    assert (back.mean, back.low) == pytest.approx((-found.mean, -found.high), abs=2e-3)
    apart = estimate(above), estimate(below)
    assert apart[0].low < apart[1].high  # unpaired, nothing would be seen


def test_no_gain_is_not_sure():
    found = difference(*draw())
    assert not found.significant
    assert found.low < 0 < found.high


def test_a_gain_of_one_seed_or_one_clip_is_not_sure():
    above, below = draw(seeds=3, gain=0.0, noise=0.001)
    for name in above[0]:
        above[0][name][0] += 0.1
    assert not difference(above, below).significant  # Student's t over seeds
    above, below = draw(seeds=3, gain=0.0, noise=0.001)
    for seed in above:
        seed["00"][0] += 0.5
    assert not difference(above, below).significant  # signs over clips


def test_where_nothing_tells_there_is_no_probability():
    alone = difference([clips([0.5, 0.6])], [clips([0.4, 0.5])])
    assert alone.p_seeds is None and not alone.significant
    same = difference(*[[clips([0.5, 0.6])] * 2] * 2)
    assert (same.mean, same.p_clips, same.p_seeds) == (0, None, None)
    one = difference([clips([0.5])] * 2, [clips([0.4])] * 2)
    assert one.p_clips is None


def test_of_a_ratio_a_clip_adds_what_it_changes():
    """Precision: how much each clip weighs depends on what was said, in either row."""
    first = clips([1.0, 0.5, 0.0], [0.5, 0.25, 0.25])
    second = clips([0.5, 0.5, 0.5], [0.2, 0.2, 0.6])
    found = difference([first, first], [second, second])
    assert found.mean == pytest.approx(0.625 - 0.5)
