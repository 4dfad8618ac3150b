"""What an alignment says of itself: whether the two videos match at all."""

import math

import numpy as np
import pytest

from lac._matching import match
from lac._trust import Trust, measure_trust
from lac.cli import align
from lac.data import write_video
from lac.data.synthetic.rendered import draw_clip


def walk(seed, frames=60, dimension=24):
    """Unit vectors that move smoothly and never come back."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.normal(size=(frames, dimension)), axis=0)
    x -= x.mean(0)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def noisy(x, amount, seed):
    y = x + amount * np.random.default_rng(seed).normal(size=x.shape)
    return (y / np.linalg.norm(y, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_two_recordings_of_one_movement_match_and_backwards_they_do_not(seed):
    x = walk(seed)
    y = noisy(x[8:52], 0.05, seed)
    trust = match(x, y).trust
    assert trust.verdict == "match" and trust.reversed > 1.5 < trust.shuffled
    backwards = match(x, y[::-1]).trust
    assert backwards.probability < trust.probability and backwards.reversed < 1
    assert backwards.verdict == "no match"


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_called_a_match(seed):
    x, y = (noisy(np.zeros((60, 24)), 1.0, 2 * seed + k) for k in (0, 1))
    trust = match(x, y).trust
    assert trust.verdict != "match"
    assert trust.reversed == pytest.approx(1, abs=0.4)


def test_what_differs_from_everything_matches_nothing():
    """Without a pair there is no match, whatever the numbers."""
    zeros = np.zeros((6, 4), np.float32)
    trust = match(zeros, zeros[:1]).trust
    assert trust.shares[0] <= 1 and 0 <= trust.probability <= 1
    x = np.concatenate([np.zeros((3, 2)), np.eye(2)]).astype(np.float32)
    assert math.isfinite(match(x, x[::-1].copy()).trust.entropy)


def test_entropy_counts_the_partners_a_frame_may_have():
    x = walk(0)
    assert match(x, x).trust.entropy < 0.05
    slow = match(x, x.repeat(4, 0)).trust  # each frame has four partners as good as each other
    assert slow.entropy > 0.5


def test_shares_are_of_each_video():
    x = walk(1)
    trust = match(x, x[20:50]).trust
    assert trust.shares[0] == pytest.approx(0.5, abs=0.05)
    assert trust.shares[1] == pytest.approx(1.0, abs=0.05)


def test_trust_is_the_same_whenever_it_is_asked():
    x = walk(2)
    matching = match(x, noisy(x, 0.1, 0))
    assert matching.trust is matching.trust
    assert matching.trust == match(x, noisy(x, 0.1, 0)).trust


@pytest.mark.parametrize(
    ("probability", "verdict", "words"),
    [
        (0.93, "match", "These match (probability 0.93)"),
        (0.8, "match", "These match"),
        (0.5, "unsure", "Unsure whether these match (probability 0.50)"),
        (0.1, "no match", "These do not seem to match (probability 0.10)"),
    ],
)
def test_the_verdict_is_one_sentence(probability, verdict, words):
    trust = Trust(
        (0.5, 0.25), entropy=math.log(3), reversed=1.2, shuffled=2.0, probability=probability
    )
    assert trust.verdict == verdict
    said = str(trust)
    assert said.startswith(words) and "\n" not in said and said.count(".") - said.count("0.") < 4
    assert "50 % and 25 % of the frames are paired" in said and "about 3 frames;" in said


def test_align_says_how_far_to_trust_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    frames, _ = draw_clip(0, 0, size=64)
    for name, part in (("a", frames[:30]), ("b", frames[6:36])):
        write_video(tmp_path / f"{name}.mp4", part, fps=10)
    align.main(["pixels", str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")])
    said = [line for line in capsys.readouterr().out.splitlines() if "probability 0." in line]
    assert len(said) == 1 and "times that of the second played backwards" in said[0]


def test_entropy_is_that_of_rows_and_columns():
    posterior = np.array([[0.4, 0.2, 0.0], [0.1, 0.5, 0.2]])

    def mean(p):
        sums = p.sum(1)
        of_rows = [-sum(x * math.log(x) for x in row / row.sum() if x > 0) for row in p]
        return (sums * of_rows).sum() / sums.sum()

    expected = (mean(posterior) + mean(posterior.T)) / 2
    options = {"gap_open": 1.0, "gap_extend": 1.0, "temperature": 1.0}
    pairs = np.array([[0, 0], [1, 1]])
    found = measure_trust(np.zeros((2, 3)), posterior, pairs, **options).entropy
    assert found == pytest.approx(expected, rel=1e-12)
