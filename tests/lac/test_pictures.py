"""Pictures of a match: what they show, and that nothing of it is cut off."""

import csv
import html
import json
import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

import fastsw
from lac._matching import Matching, Scoring
from lac._trust import Trust
from lac.data import VideoError, read_video, write_video
from lac.pictures import (
    Shown,
    _page,
    alignment_view,
    draw_alignment,
    layer_pictures,
    write_page,
    write_pairs,
    write_side_by_side,
)
from lac.pictures._picture import alignment_figure
from lac.pictures._times import (
    clock,
    matched_spans,
    partner_times,
    round_times,
    tick,
    unmatched_spans,
)

SCORING = Scoring(1.0, 0.1, 1.0)
TRUST = Trust((0.9, 0.8), entropy=1.4, reversed=1.9, shuffled=2.7, probability=0.9)


def matching(rows, columns, *parts):
    """A match of given parts: first row, first column, length."""
    pairs = [(i + k, j + k) for i, j, length in parts for k in range(length)]
    posterior = np.zeros((rows, columns), np.float32)
    for i, j in pairs:
        posterior[i, j] = 0.9
    alignment = fastsw.Alignment(float(len(pairs)), np.array(pairs, np.int64).reshape(-1, 2))
    return Matching(4 * posterior - posterior.mean(), posterior, alignment, SCORING)


def film(length, height, width, *, name="a.mp4", rate=10.0):
    """White frames, each with its number in a black corner."""
    frames = np.full((length, 3, height, width), 255, np.uint8)
    frames[:, :, : height // 4, : width // 4] = (np.arange(length) % 100)[:, None, None, None]
    return Shown(name, np.arange(length) / rate, frames)


def features(length, *, name="a.npy"):
    return Shown(name, np.arange(float(length)), None)


LONG = "W" * 200 + ".mp4"
PICTURES = {
    "near-square": (matching(60, 66, (5, 9, 40)), film(60, 48, 64), film(66, 48, 64), TRUST),
    "1 x 3": (matching(30, 90, (5, 40, 20)), film(30, 48, 64), film(90, 48, 64), None),
    "3 x 1": (matching(90, 30, (40, 5, 20)), film(90, 64, 36), film(30, 48, 64), TRUST),
    "minutes": (
        matching(3000, 50, (700, 0, 50)),
        film(3000, 4, 6, rate=10.0),
        film(50, 48, 64, name="$b$ {c}"),
        None,
    ),
    "long names": (
        matching(40, 42, (0, 2, 9), (20, 30, 9)),
        film(40, 48, 64, name=LONG),
        film(42, 64, 36, name="a\nb" + LONG),
        TRUST,
    ),
    "no match": (matching(20, 30), film(20, 48, 64), film(30, 48, 64), TRUST),
    "features": (matching(20, 30, (0, 3, 15)), features(20), features(30), TRUST),
    "one frame": (matching(1, 1, (0, 0, 1)), film(1, 48, 64), film(1, 48, 64), None),
}


@pytest.mark.smoke(1)
@pytest.mark.parametrize("kind", PICTURES)
def test_nothing_of_a_picture_is_cut_off(kind, tmp_path):
    *shown, trust = PICTURES[kind]
    figure = alignment_figure(*shown, trust=trust)
    figure.savefig(tmp_path / "a.png", dpi=50)
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert -0.01 <= drawn.x0 < drawn.x1 <= width + 0.01
    assert -0.01 <= drawn.y0 < drawn.y1 <= height + 0.01
    assert 5 < figure.get_figwidth() < 10 and 3 < figure.get_figheight() < 10


def words_of(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")


@pytest.mark.slow
def test_a_picture_says_what_it_shows(tmp_path):
    match, a, b = matching(60, 66, (5, 9, 40)), film(60, 48, 64), film(66, 48, 64, name="b.mp4")
    words = words_of(alignment_figure(match, a, b, trust=TRUST))
    assert "Where a.mp4 and b.mp4 match" in words
    assert "0.50 to 4.40 s of a.mp4 with 0.90 to 4.80 s of b.mp4 Probability 0.90" in words
    assert "cosine / temperature, less its mean" in words and "probability" in words
    for probability, said in ((0.5, "Where a.mp4 and b.mp4 may match"), (0.1, "do not match")):
        doubtful = replace(TRUST, probability=probability)
        assert said in words_of(alignment_figure(match, a, b, trust=doubtful))
    nothing = words_of(alignment_figure(matching(20, 30), film(20, 48, 64), b))
    assert "No part of a.mp4 matches any part of b.mp4" in nothing
    draw_alignment(tmp_path / "new" / "a.svg", match, a, b)
    assert (tmp_path / "new" / "a.svg").read_text().startswith("<?xml")


def test_key_frames_lie_at_their_times_and_pale_where_nothing_matches():
    frames = np.zeros((40, 3, 30, 40), np.uint8)
    frames[:, 0] = 200
    a, b = (Shown(name, np.arange(40) / 10, frames) for name in "ab")
    axes = alignment_figure(matching(40, 40, (0, 0, 20)), a, b).axes[0]
    strips = [inset for inset in axes.child_axes if inset.artists]
    assert len(strips) == 2
    for side, strip in enumerate(strips):
        assert len(strip.artists) >= 4
        for frame in strip.artists:
            number = frame.xy[1 - side]
            red, green, _ = frame.offsetbox.get_data().mean((0, 1))
            assert (red > 150 and green < 5) if number < 20 else red == green > 100


def test_a_picture_of_long_videos_keeps_thin_paths():
    match = matching(1300, 1250, (100, 200, 900))
    similarity, posterior = alignment_figure(match, features(1300), features(1250)).axes[0].images
    assert max(similarity.get_array().shape) <= 1200
    assert posterior.get_array().max() == np.float32(0.9)
    assert similarity.get_extent() == [-0.5, 1249.5, 1299.5, -0.5]


def test_times_are_round():
    assert round_times(0.0, 1.3, most=8) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2])
    assert round_times(0.0, 301.0, most=8) == [0, 60, 120, 180, 240, 300]
    assert round_times(0.0, 0.0, most=5) == [0]
    assert [tick(time, longest=4) for time in (0, 0.5, 3.0)] == ["0", "0.5", "3"]
    assert [tick(time, longest=4000) for time in (90, 3660)] == ["1:30", "1:01:00"]
    assert clock(0.533, longest=4) == "0.53 s"
    assert [clock(time, longest=4000) for time in (59.97, 3725.34)] == ["1:00.0", "1:02:05.3"]


def test_spans_are_the_parts_and_what_is_left():
    match = matching(40, 30, (4, 0, 10), (24, 10, 12))
    assert [matched_spans(match, side) for side in (0, 1)] == [[(4, 13), (24, 35)], [(0, 21)]]
    assert unmatched_spans([(4, 13), (24, 35)], 40) == [(0, 3), (14, 23), (36, 39)]
    assert unmatched_spans([(0, 21)], 30) == [(22, 29)]
    assert unmatched_spans([], 5) == [(0, 4)]


def test_the_second_video_follows_the_first():
    match = matching(40, 50, (10, 5, 10), (30, 25, 5))
    a, b = np.arange(40) / 10, np.arange(50) / 20  # the second is shown at twice the rate
    seconds, matched = partner_times(match, a, b)
    assert np.flatnonzero(matched).tolist() == [*range(10, 20), *range(30, 35)]
    np.testing.assert_allclose(seconds[10:20], b[5:15])
    np.testing.assert_allclose(seconds[30:35], b[25:30])
    np.testing.assert_allclose(seconds[:10], [0] * 8 + [0.05, 0.15])  # up to the match
    np.testing.assert_allclose(seconds[20:25], [0.8, 0.9, 1.0, 1.1, 1.2])  # on from it
    np.testing.assert_allclose(seconds[25:30], 1.25)  # waits for the next
    assert (np.diff(seconds) >= 0).all()
    np.testing.assert_allclose(
        partner_times(matching(40, 10), a, a[:10])[0][8:12], [0.8] + [0.9] * 3
    )


def test_side_by_side_keeps_aspect_and_time_and_dims_what_matches_nothing(tmp_path):
    a, b = film(20, 48, 64), film(40, 64, 36, name="b.mp4", rate=20)
    write_side_by_side(
        tmp_path / "new" / "both.mp4", matching(20, 40, (5, 8, 10)), a, b, trust=TRUST
    )
    video = read_video(tmp_path / "new" / "both.mp4")
    np.testing.assert_allclose(video.times, np.arange(20) / 10, atol=1e-3)  # all of the first
    first, matched, last = video.frames[[1, 10, 19]]
    panels = matched[:, 40:380]  # without names and bars
    white = np.flatnonzero((panels.min(0) > 200).all(0))
    runs = [len(run) for run in np.split(white, np.flatnonzero(np.diff(white) > 1) + 1)]
    _, height, width = matched.shape
    assert height % 2 == width % 2 == 0 and 400 < height < 600
    assert sum(run for run in runs if run > 20) == pytest.approx(0.75 * (480 + 202), abs=12)
    for dimmed in (first, last):
        assert 80 < np.percentile(dimmed[:, 200:380], 90) < 150


def test_a_video_of_no_match_is_dimmed_throughout(tmp_path):
    a, b = film(8, 48, 64), film(4, 48, 64, name="b.mp4")
    write_side_by_side(tmp_path / "both.mp4", matching(8, 4), a, b)
    frames = read_video(tmp_path / "both.mp4").frames
    assert len(frames) == 8 and np.percentile(frames[:, :, 200:380], 90) < 150


def test_frames_come_from_the_file_when_they_are_needed(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (30, 3, 6, 4), np.uint8).repeat(16, 2).repeat(16, 3)
    write_video(tmp_path / "a.mp4", frames, fps=10)
    decoded = read_video(tmp_path / "a.mp4").frames.transpose(0, 2, 3, 1)
    shown = Shown("a", np.arange(10) / 10, tmp_path / "a.mp4", every=3)
    assert shown.shape == (96, 64) and shown.within(48, 48) == (48, 32)
    assert shown.within(360, 640) == (360, 240)
    assert shown.within(360, 640, enlarge=False) == (96, 64)
    numbers = [0, 2, 2, 9]
    found = np.stack(list(shown.frames(numbers, (96, 64))))
    np.testing.assert_array_equal(found, decoded[[0, 6, 6, 27]])
    enlarged = next(shown.frames([4], (192, 128)))
    assert enlarged.shape == (192, 128, 3)
    assert abs(enlarged[::2, ::2].astype(int) - decoded[12]).mean() < 12
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises((VideoError, OSError, ValueError)):
        Shown("t", np.arange(3.0), tmp_path / "text.mp4").shape  # noqa: B018


def embedded(page):
    """The videos of a page, and what it tells its script."""
    held = dict(re.findall(r'<script type="[^"]+" id="([^"]+)">(.*?)</script>', page, re.S))
    return [b64decode(held[f"video-{side}"]) for side in (0, 1)], json.loads(held["matching"])


def test_a_page_holds_picture_and_videos_and_needs_no_network(tmp_path):
    a = film(20, 48, 64, name="<script>alert('a')</script>.mp4")
    b = Shown("b&b\udcff.mp4", np.cumsum([0.0, *[0.1, 0.3] * 6]), film(13, 64, 36).source)
    file = tmp_path / "new" / "both.html"
    write_page(file, matching(20, 13, (5, 3, 10)), a, b, trust=TRUST)
    page = file.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|<link", re.sub(r"[\w+/=]{200,}", "", page))
    assert "default-src 'none'" in page
    assert "<script>alert" not in page and html.escape(a.name) in page and "b&amp;b?.mp4" in page
    assert html.escape(str(TRUST)) in page and "{{" not in page
    assert page.count("data:image/png;base64,") == 2
    videos, told = embedded(page)
    for video, shown, name in zip(videos, (a, b), "ab", strict=True):
        (tmp_path / f"{name}.mp4").write_bytes(video)
        read = read_video(tmp_path / f"{name}.mp4")
        np.testing.assert_allclose(read.times, shown.times, atol=1e-3)
        assert read.frames.shape == shown.source.shape
    assert told == json.loads(
        json.dumps(alignment_view(matching(20, 13, (5, 3, 10)), a, b, trust=TRUST))
    )


def test_a_view_holds_the_partners_of_both_videos():
    a, b = film(20, 48, 64), film(33, 64, 36, rate=30.0)
    found = matching(20, 33, (5, 3, 10), (17, 20, 2))
    view = alignment_view(found, a, b, trust=TRUST)
    seconds, matched = partner_times(found, a.times, b.times)
    np.testing.assert_allclose(view["partner"][0], seconds, atol=1e-4)
    assert view["matched"][0] == matched.tolist()
    for part in found.parts:
        for row, column in part.tolist():
            assert view["partner"][0][row] == view["times"][1][column]
            assert view["partner"][1][column] == view["times"][0][row]
            assert view["matched"][0][row] and view["matched"][1][column]
    assert view["parts"] == [part.T.tolist() for part in found.parts]
    assert view["spans"] == [[(5, 14), (17, 18)], [(3, 12), (20, 21)]]
    assert view["unmatched"] == [[(0, 4), (15, 16), (19, 19)], [(0, 2), (13, 19), (22, 32)]]
    assert view["aspects"] == [1.3333, 0.5625] and view["minutes"] == [False, False]
    best = fastsw.traceback(found.similarity, gap_open=1.0, gap_extend=0.1)
    assert view["best"] == best.pairs.T.tolist()
    json.dumps(view, allow_nan=False)


def test_layers_have_the_colours_of_the_picture():
    found = matching(20, 13, (5, 3, 10))
    drawn = alignment_figure(found, features(20), features(13)).axes[0].images
    for content, image in zip(layer_pictures(found), drawn, strict=True):
        pixels = np.asarray(Image.open(BytesIO(content)))
        assert pixels.shape == (20, 13, 4)
        np.testing.assert_array_equal(pixels, image.to_rgba(image.get_array(), bytes=True))


def test_layers_of_long_videos_are_small():
    found = matching(3000, 50, (700, 0, 50))
    similarity, posterior = (Image.open(BytesIO(content)) for content in layer_pictures(found))
    assert similarity.size == posterior.size == (50, 1200)
    assert np.asarray(posterior)[..., 3].any(1).sum() >= 20  # what is likely is not averaged away


def test_pairs_are_numbered_as_in_the_files(tmp_path):
    a, b = replace(film(20, 48, 64), every=3), replace(film(13, 64, 36), every=3)
    write_pairs(tmp_path / "new" / "pairs.csv", matching(20, 13, (5, 3, 10)), a, b)
    rows = list(csv.DictReader((tmp_path / "new" / "pairs.csv").open()))
    assert [int(row["a_frame"]) for row in rows] == list(range(15, 45, 3))
    assert [float(row["b_time"]) for row in rows] == [round(0.3 + k / 10, 4) for k in range(10)]


def test_a_page_of_features_is_the_picture_alone(tmp_path):
    write_page(tmp_path / "a.html", matching(20, 30, (0, 3, 15)), features(20), features(30))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<video" not in page and "<script" not in page and "data:image/png" in page
    assert "frames 0 to 14" in page


def test_a_page_that_would_be_too_large_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(_page, "_MEGABYTES", 0.1)
    noise = np.random.default_rng(0).integers(0, 255, (60, 3, 96, 128), np.uint8)
    a = Shown("a.mp4", np.arange(60) / 10, noise)
    with pytest.raises(ValueError, match=r"`html` must hold at most 0\.1 MB .* of a\.mp4; match"):
        write_page(tmp_path / "a.html", matching(60, 60, (0, 0, 60)), a, a)
    assert not (tmp_path / "a.html").exists()
