"""Checks of a video against references: what is missing, extra and changed, and from where on."""

import csv
import html
import json
import re

import numpy as np
import pytest

from lac._checking import Limit, check, common_limit, find_steps, measure_moments
from lac._matching import match
from lac.data import write_video
from lac.pictures import Shown, check_view, draw_check, step_in_words, write_page, write_steps
from lac.pictures._check_picture import check_figure

X = np.eye(80, dtype=np.float32)
WHOLE = X[:40]
CUT = np.delete(WHOLE, range(12, 24), 0)
OTHER = np.concatenate([X[:12], X[60:72], X[24:40]])  # frames 12 to 23 are like none of WHOLE


def noisy(sequence, seed, much=0.2):
    """Embeddings of another take."""
    rng = np.random.default_rng(seed)
    found = sequence + much * rng.standard_normal(sequence.shape) / np.sqrt(sequence.shape[1])
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def near(span, wanted, off=3):
    """Whether a span begins and ends where it should, as far as averages over frames tell."""
    return all(abs(one - other) <= off for one, other in zip(span, wanted, strict=True))


@pytest.mark.parametrize(
    ("reference", "query", "kind", "shown", "place"),
    [
        (WHOLE, CUT, "missing", (12, 23), 11.5),
        (CUT, WHOLE, "extra", (12, 23), 11.5),
        (WHOLE, OTHER, "changed", (12, 23), None),
        (WHOLE, WHOLE[9:], "missing", (0, 8), 0),
        (WHOLE, WHOLE[:30], "missing", (30, 39), 29),
    ],
)
def test_a_step_is_found_where_it_is(reference, query, kind, shown, place):
    (step,) = check([reference], query).steps
    assert step.kind == kind
    if kind != "extra":
        assert near(step.reference, shown)
    if kind != "missing":
        assert near(step.query, shown)
    if place is not None:
        between = step.query if kind == "missing" else step.reference
        assert abs(np.mean(between) - place) <= 3


def test_a_query_as_it_should_be_or_slower_does_not_depart():
    assert check([WHOLE], WHOLE).steps == []
    assert check([WHOLE], WHOLE.repeat(2, 0)).steps == []
    assert check([WHOLE.repeat(2, 0)], WHOLE).steps == []


def test_the_reference_that_matches_best_is_shown():
    checked = check([X[40:], WHOLE[:20], WHOLE], CUT)
    assert checked.nearest == 2
    assert checked.matching.similarity.shape == (40, 28)


def test_no_reference_departs_from_the_others_by_the_common_limit():
    references = [noisy(WHOLE, seed, much=0.2 + 0.1 * seed) for seed in range(4)]
    for number, one in enumerate(references):
        others = [*references[:number], *references[number + 1 :]]
        limit = check(references, one).limit
        assert limit.source == "references"
        assert check(others, one, limit=limit.distance).steps == []
    measured = [
        measure_moments(match(references[0], other), references[0], other)
        for other in references[1:]
    ]
    highest = common_limit(measured).distance
    lower = [
        find_steps(match(references[0], other), moments, 0.7 * highest)
        for other, moments in zip(references[1:], measured, strict=True)
    ]
    assert any(lower)


def test_references_that_vary_allow_for_more():
    alike = check([noisy(WHOLE, seed) for seed in range(3)], noisy(WHOLE, 9))
    apart = check([noisy(WHOLE, seed, much=0.8) for seed in range(3)], noisy(WHOLE, 9))
    assert apart.limit.distance > 2 * alike.limit.distance
    found = check([noisy(WHOLE, seed) for seed in range(3)], noisy(CUT, 9))
    assert [step.kind for step in found.steps] == ["missing"]


def test_one_reference_is_said_to_be_one():
    assert "from this alignment alone" in str(check([WHOLE], CUT).limit)
    assert "none of the references departs" in str(Limit(0.2, "references"))


def test_moments_tell_distance_and_surprise():
    first, second = check([WHOLE], CUT).moments
    assert first.distance[14:22] == pytest.approx(1, abs=1e-6)
    assert first.distance[:8] == pytest.approx(0, abs=1e-6)
    assert (first.surprise[14:22] > 5).all() and (second.surprise < 0.5).all()
    assert first.surprise.max() <= 10


def test_what_matches_nothing_departs_nowhere_in_particular():
    checked = check([X[:20]], X[40:60], limit=0.5)
    (step,) = checked.steps
    assert (step.kind, step.reference, step.query) == ("changed", (0, 19), (0, 19))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="`references` must hold at least one"):
        check([], WHOLE)
    for limit in (0, 2.1, float("nan")):
        with pytest.raises(ValueError, match=r"`limit` must be > 0 and <= 2"):
            check([WHOLE], WHOLE, limit=limit)


def shown(name, count, source=None):
    """A video of ten frames a second."""
    return Shown(name, np.arange(count) / 10, source)


def test_steps_are_written_with_their_times(tmp_path):
    checked = check([WHOLE], CUT)
    frames = np.zeros((40, 3, 16, 16), np.uint8)
    videos = shown("right.mp4", 40, frames), shown("query.mp4", 28, frames[:28])
    write_steps(tmp_path / "new" / "steps.csv", checked, *videos)
    (row,) = csv.DictReader((tmp_path / "new" / "steps.csv").open())
    assert row["step"] == "missing"
    assert float(row["reference_from"]) == pytest.approx(1.2, abs=0.3)
    assert float(row["query_from"]) <= 1.15 <= float(row["query_to"])
    assert float(row["distance"]) == pytest.approx(1, abs=1e-3)
    view = check_view(checked, *videos)
    assert view["heading"] == "One step of query.mp4 departs from right.mp4"
    assert view["steps"][0]["words"].startswith("missing: 1.")
    assert [len(side) for side in view["distance"]] == [40, 28]
    words = {
        kind: step_in_words(check([a], b).steps[0], shown("a", len(a)), shown("b", len(b)))
        for kind, a, b in (("extra", CUT, WHOLE), ("changed", WHOLE, OTHER))
    }
    assert all(text.startswith(f"{kind}: frames 1") for kind, text in words.items())


def test_the_picture_shades_what_departs(tmp_path):
    checked = check([WHOLE], CUT)
    videos = shown("$right$.mp4", 40), shown("query.mp4", 28)
    figure = check_figure(checked, *videos)
    reference, query = figure.axes[:2]
    (missing,), (place,) = reference.patches, query.patches
    assert near((missing.get_x(), missing.get_x() + missing.get_width()), (11.5, 23.5))
    assert abs(place.get_x() + place.get_width() / 2 - 11.5) <= 3
    draw_check(tmp_path / "new" / "check.png", checked, *videos)
    assert (tmp_path / "new" / "check.png").stat().st_size > 10_000


def test_the_page_holds_what_was_found_and_needs_no_network(tmp_path):
    checked = check([WHOLE], CUT)
    frames = np.zeros((40, 3, 16, 16), np.uint8)
    videos = shown("<script>right.mp4", 40, frames), shown("query.mp4", 28, frames[:28])
    view = check_view(checked, *videos)
    file = tmp_path / "new" / "check.html"
    write_page(file, checked.matching, *videos, check=view)
    page = file.read_text(encoding="utf-8")
    text = re.sub(r"[\w+/=]{200,}", "", page)  # videos and pictures
    assert not re.search(r"https?:|//[a-z]|@import|<link|^import", text, re.MULTILINE)
    assert "<script>right" not in page and html.escape(view["heading"]) in page
    (told,) = re.findall(r'id="checked">(.*?)</script>', page)
    assert json.loads(told) == json.loads(json.dumps(view))
    features = shown("right", 40), shown("query", 28)
    with pytest.raises(ValueError, match="`check` must be of videos, got features"):
        write_page(file, checked.matching, *features, check=view)


def test_the_command_says_what_departs(tmp_path, capsys, moving_square):
    from lac.check import main

    right, query = tmp_path / "right.mp4", tmp_path / "query.mp4"
    frames = moving_square
    write_video(right, frames, fps=10)
    write_video(query, np.delete(frames, range(20, 40), 0), fps=10)
    page = tmp_path / "check.html"
    written = ["--steps", str(tmp_path / "steps.csv"), "--html", str(page)]
    main(["pixels", str(right), str(query), *written])
    said = capsys.readouterr().out
    assert "One step of query.mp4 departs from right.mp4" in said
    assert 'id="checked"' in page.read_text(encoding="utf-8")
    assert "missing: " in said and "from this alignment alone" in said
    (row,) = csv.DictReader((tmp_path / "steps.csv").open())
    assert float(row["reference_from"]) == pytest.approx(2, abs=0.4)
    assert float(row["reference_to"]) == pytest.approx(4, abs=0.4)
    assert float(row["query_from"]) - 0.4 <= 2 <= float(row["query_to"]) + 0.4
    with pytest.raises(SystemExit):
        main(["pixels", str(right), str(query), "--steps", str(query)])
    assert query.exists()


@pytest.fixture
def moving_square():
    """A bright square on its way round, 60 frames."""
    frames = np.full((60, 3, 64, 64), 40, np.uint8)
    for number, angle in enumerate(np.linspace(0, 1.7 * np.pi, 60)):
        y, x = (int(24 + 20 * turn(angle)) for turn in (np.sin, np.cos))
        frames[number, :, y : y + 16, x : x + 16] = 220
    return frames
