"""Drawn clips of several performers: what varies, and what the labels tell exactly."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lac.data import read_folder
from lac.data.synthetic.several import (
    NAMES,
    PROCEDURES,
    Several,
    _draw_steps,
    draw_clip,
    render_several,
)

SMALL = Several(train=6, val=2, size=16, performers=2)


def test_a_folder_is_read_with_actions_phases_and_progress(tmp_path):
    render_several(tmp_path / "several", SMALL)
    collection = read_folder(tmp_path / "several")
    assert [clip.split for clip in collection.clips] == ["train"] * 6 + ["val"] * 2
    assert [clip.action for clip in collection.clips] == ["carry", "wipe"] * 4
    assert collection.phase_names == NAMES
    for number, clip in enumerate(collection.clips):
        drawn = draw_clip(SMALL, number)
        assert clip.phase.tolist() == drawn.phase.tolist()
        assert clip.progress == pytest.approx(drawn.progress, abs=1e-6)
        assert len(drawn.frames) == len(clip.phase)
    assert json.loads((tmp_path / "several" / "labels.json").read_text())["clips"]["0000"]


def test_clips_are_the_same_again_and_differ_from_each_other():
    first, again, other = (draw_clip(SMALL, n) for n in (0, 0, 2))
    assert (first.frames == again.frames).all()
    assert first.phase.tolist() != other.phase.tolist()
    assert draw_clip(replace(SMALL, seed=1), 0).phase.tolist() != first.phase.tolist()


def test_steps_keep_their_order_whatever_is_missing_or_extra():
    rng = np.random.default_rng(0)
    for procedure in PROCEDURES.values():
        drawn = [_draw_steps(procedure, rng) for _ in range(200)]
        own = [tuple(step for step in steps if step in procedure) for steps in drawn]
        for steps in own:
            places = [procedure.index(step) for step in steps]
            assert places == sorted(set(places))
        assert len(set(own)) > 5  # some are missing
        assert any(set(steps) - set(procedure) for steps in drawn)
        assert all(len(set(steps)) == len(steps) for steps in drawn)


def test_progress_does_not_fall_and_is_in_range():
    for number in range(6):
        drawn = draw_clip(SMALL, number)
        assert drawn.progress.min() >= 0 and drawn.progress.max() <= 1
        same = np.diff(drawn.phase) == 0
        assert (np.diff(drawn.progress)[same] >= 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": 0}, "`train` must be >= 1"),
        ({"performers": 0}, "`performers` must be >= 1"),
        ({"size": 17}, "`size` must be even"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        Several(**settings)
