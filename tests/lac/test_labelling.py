"""Phases are carried from labelled videos to others."""

import json

import numpy as np
import pytest

import lac
from lac._embedding import embed_file
from lac._labelling import Labelled, carry, spread
from lac.cli.label import main
from lac.data import read_folder, write_video
from lac.data.synthetic.rendered import PHASES as NAMES
from lac.data.synthetic.rendered import draw_clip

X = np.eye(40, dtype=np.float32)
PHASES = np.arange(40) // 10


def test_each_frame_takes_the_label_of_its_partner():
    carried = carry([Labelled(X, PHASES)], X[5:33])
    np.testing.assert_array_equal(carried.labels, PHASES[5:33])
    assert carried.confidence.min() > 0.9 and not carried.doubtful.any()


@pytest.mark.parametrize("times", [2, 3])
def test_labels_are_carried_to_another_pace(times):
    slow = carry([Labelled(X, PHASES)], X.repeat(times, 0))
    assert (slow.labels == PHASES.repeat(times)).mean() > 0.95
    fast = carry([Labelled(X.repeat(times, 0), PHASES.repeat(times))], X)
    np.testing.assert_array_equal(fast.labels, PHASES)


def test_a_phase_that_comes_twice_is_told_by_its_place():
    twice = np.concatenate([X[:10], X[10:20], X[:10]])
    labels = np.repeat([0, 1, 2], 10)
    np.testing.assert_array_equal(carry([Labelled(twice, labels)], twice).labels, labels)


def test_what_has_no_partner_takes_the_nearest_label_and_is_doubtful():
    reference = Labelled(X[:20], PHASES[:20])
    video = np.concatenate([X[:10], X[20:30], X[10:20]])  # ten frames that it does not show
    carried = carry([reference], video)
    np.testing.assert_array_equal(carried.labels, np.repeat([0, 1], 15))
    np.testing.assert_array_equal(carried.doubtful, np.repeat([False, True, False], 10))


def test_a_phase_that_a_video_does_not_show_is_not_carried():
    carried = carry([Labelled(X, PHASES)], np.delete(X, range(10, 20), 0))
    np.testing.assert_array_equal(carried.labels, np.repeat([0, 2, 3], 10))


def test_references_vote():
    wrong = np.where(PHASES == 1, 3, PHASES)
    references = [Labelled(X, PHASES), Labelled(X, wrong), Labelled(X, PHASES)]
    carried = carry(references, X)
    np.testing.assert_array_equal(carried.labels, PHASES)
    disputed = PHASES == 1
    np.testing.assert_allclose(carried.confidence[disputed], 2 / 3, atol=0.02)
    assert carried.confidence[~disputed].min() > 0.9


def test_each_reference_may_show_a_part():
    references = [Labelled(X[:20], PHASES[:20]), Labelled(X[20:], PHASES[20:])]
    carried = carry(references, X)
    np.testing.assert_array_equal(carried.labels, PHASES)
    np.testing.assert_allclose(carried.confidence, 0.5, atol=0.02)


def test_a_video_that_matches_nothing_is_labelled_and_all_of_it_doubtful():
    carried = carry([Labelled(X[:20], PHASES[:20])], X[20:])
    assert len(carried.labels) == 20 and set(carried.labels) <= {0, 1}
    assert carried.doubtful.all()


def test_references_must_be_there_and_labelled_whole():
    with pytest.raises(ValueError, match="`references` must be one or more videos, got none"):
        carry([], X)
    with pytest.raises(ValueError, match=r"`references\[1\].labels` must be one for each of 40"):
        carry([Labelled(X, PHASES), Labelled(X, PHASES[1:])], X)


@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_each_frame_takes_the_label_of_the_nearest_that_has_one(every):
    labels = np.arange(0, 23, every)  # of which frame each is
    apart = abs(spread(labels, 23, every=every) - np.arange(23))
    assert apart.max() <= max(every // 2, 22 - labels[-1])


@pytest.mark.parametrize("every", [1, 2])
def test_the_command_labels_what_is_not_labelled(every, tmp_path, capsys):
    clips = [draw_clip(0, number, size=48) for number in range(3)]
    for number, (frames, _) in enumerate(clips):
        write_video(tmp_path / f"{number}.mp4", frames, fps=10)
    told = {"phase_names": NAMES, "clips": {"0": {"phase": clips[0][1].tolist()}}}
    (tmp_path / "labels.json").write_text(json.dumps(told))
    main(["small", str(tmp_path), "--every", str(every)])
    said = capsys.readouterr().out
    assert "2 clips are labelled by 1" in said and "the old one is labels-1.json" in said
    embedder = lac.load("small")
    source, *others = (
        embed_file(embedder, tmp_path / f"{number}.mp4", every=every).embeddings
        for number in range(3)
    )
    found = read_folder(tmp_path)
    names = found.phase_names
    np.testing.assert_array_equal(found.clips[0].phase, clips[0][1])
    for clip, video, (frames, _) in zip(found.clips[1:], others, clips[1:], strict=True):
        carried = carry([Labelled(source, clips[0][1][::every])], video, loss=embedder.loss)
        expected = spread(carried.labels, len(frames), every=every)
        assert [names[label] for label in clip.phase] == [NAMES[label] for label in expected]
        assert f"{clip.name}: {carried.doubtful.mean():.0%} doubtful" in said
    with pytest.raises(SystemExit, match=r"got 3 and 0 in"):
        main(["small", str(tmp_path)])
