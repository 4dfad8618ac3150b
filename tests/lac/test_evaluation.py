"""The measures on representations whose values are known, and the protocol."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lac.cli._console import plain_console
from lac.data import Clip, ClipDataModule, Rendered, read_folder
from lac.data.importers.convert import convert
from lac.encoder import Encoder
from lac.evaluation import PROTOCOLS, Protocol, draw_crops, measure, metrics, print_report
from lac.evaluation.metrics import (
    PAIRS,
    drawn_pairs,
    kendall_tau,
    neighbour_hits,
    phase_accuracy,
    progression_r2,
    retrieval_precision,
)
from tests.support.layouts import penn_action

PHASE = np.repeat(np.arange(4), 5)


def one_hot(phase):
    return np.eye(4)[phase] + 1e-3 * np.arange(len(phase))[:, None]


def test_features_that_are_the_phase_are_perfect():
    crops = [(one_hot(PHASE), PHASE, f"clip{i}") for i in range(4)]
    assert phase_accuracy(crops, [crop[:2] for crop in crops]) == 1.0
    assert retrieval_precision([crop[:2] for crop in crops], neighbours=(5,)) == {5: 1.0}


def test_constant_features_do_no_better_than_chance():
    crops = [(np.zeros((20, 3)), PHASE, f"clip{i}") for i in range(4)]
    assert phase_accuracy(crops, [crop[:2] for crop in crops]) == pytest.approx(0.25)
    assert kendall_tau([x for x, _, _ in crops]) == 0.0
    assert progression_r2(
        [(x, np.arange(20.0)[:, None]) for x, _, _ in crops],
        [(x, np.arange(20.0)[:, None]) for x, _, _ in crops],
    ) == pytest.approx(0.0, abs=1e-12)


def test_kendall_tau_is_1_in_step_and_minus_1_backwards():
    line = np.linspace(0, 1, 12)[:, None]
    assert kendall_tau([line, line]) == pytest.approx(1.0)
    assert kendall_tau([line, np.hstack([line, line])[:, :1][::-1]]) == pytest.approx(-1.0)


def test_retrieval_leaves_the_own_clip_out():
    # Each clip alone knows its phases; across clips every label is wrong.
    x = np.arange(4.0)[:, None]
    crops = [(x, np.array([0, 0, 1, 1])), (x, np.array([1, 1, 0, 0]))]
    assert retrieval_precision(crops, neighbours=(1, 2))[1] == 0.0


def test_the_same_frames_are_nearest_as_in_a_plain_search():
    rng = np.random.default_rng(0)
    # Few different values, so that there are ties.
    crops = [(rng.integers(0, 3, (n, 2)).astype(float), rng.integers(0, 3, n)) for n in (7, 4, 9)]
    found = neighbour_hits(crops, neighbours=(1, 5))
    for i, (x, y) in enumerate(crops):
        others = [crop for j, crop in enumerate(crops) if j != i]
        gallery, labels = (np.concatenate(part) for part in zip(*others, strict=True))
        for t, query in enumerate(x):
            order = np.argsort(((gallery - query) ** 2).sum(1), kind="stable")
            for k in (1, 5):
                assert found[k][i][t] == (labels[order[:k]] == y[t]).mean()


def test_the_parts_of_frames_in_r2_have_it_for_their_mean():
    rng = np.random.default_rng(0)

    def clips(count):
        # The second event is always as far away: there is nothing to explain.
        return [
            (rng.normal(size=(9, 3)), np.c_[rng.normal(size=(9, 2)), np.ones(9)])
            for _ in range(count)
        ]

    train, test = clips(5), clips(4)
    x, y = (np.concatenate(part) for part in zip(*train, strict=True))
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(x, y)
    x, y = (np.concatenate(part) for part in zip(*test, strict=True))
    assert progression_r2(train, test) == pytest.approx(r2_score(y, model.predict(x)), abs=1e-12)


def test_of_many_clips_as_many_pairs_are_compared_as_of_some():
    pairs = drawn_pairs(300, seed=1)
    assert len(pairs) == 1800 and len(drawn_pairs(1000)) == PAIRS
    assert len(set(pairs)) == len(pairs) and all(i != j for i, j in pairs)
    assert np.bincount([i for i, _ in pairs]).tolist() == [6] * 300
    assert pairs == drawn_pairs(300, seed=1) != drawn_pairs(300, seed=2)
    assert {i for pair in pairs for i in pair} == set(range(300))


def test_of_many_clips_some_look_for_neighbours_in_all(monkeypatch):
    monkeypatch.setattr(metrics, "QUERIES", 3)
    crops = [(np.array([[0.0]]), np.array([i % 2])) for i in range(10)]
    hits = neighbour_hits(crops, neighbours=(9,))[9]
    assert sorted(len(own) for own in hits) == [0] * 7 + [1] * 3
    assert retrieval_precision(crops, neighbours=(9,))[9] == pytest.approx(4 / 9)


def test_of_many_frames_a_classifier_is_fitted_to_some(monkeypatch):
    monkeypatch.setattr(metrics, "FRAMES", 30)
    seen, fit = [], metrics._fit

    def noted(model, x, y):
        seen.append((len(x), len(y), tuple(np.unique(y).tolist())))
        return fit(model, x, y)

    monkeypatch.setattr(metrics, "_fit", noted)
    crops = [(one_hot(PHASE), PHASE, f"clip{i}") for i in range(8)]
    for classifier in ("logistic", "logistic_plain", "svm"):
        test = [crop[:2] for crop in crops]
        assert phase_accuracy(crops, test, classifier=classifier) == 1.0
    assert set(seen) == {(30, 30, (0, 1, 2, 3))}


def test_few_labels_are_few_clips():
    rng = np.random.default_rng(0)
    train = [(rng.normal(size=(20, 4)), PHASE, f"clip{i}") for i in range(9)]
    train.append((one_hot(PHASE), PHASE, "good"))
    scores = {
        phase_accuracy(train, [(one_hot(PHASE), PHASE)], fraction=0.1, seed=s) for s in range(9)
    }
    assert len(scores) > 1  # one clip of ten is drawn


def test_crops_depend_on_name_and_seed_alone():
    clips = [Clip(name, Path(name), "val") for name in ("a", "b", "c")]
    protocol = Protocol(crops=3, min_crop=0.5)
    crops = draw_crops(clips, [20, 31, 2], protocol)
    again = draw_crops(clips[1:2], [31], protocol)
    assert [(c.start, c.stop) for c in again] == [(c.start, c.stop) for c in crops[3:6]]
    assert all(c.stop - c.start >= c.length / 2 for c in crops)
    assert all(0 <= c.start < c.stop <= c.length for c in crops)
    assert [c.first for c in crops] == [True, False, False] * 3
    other = draw_crops(clips, [20, 31, 2], Protocol(crops=3, seed=1))
    assert [c.start for c in other] != [c.start for c in crops]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crops": 0}, "`crops` must be >= 1"),
        ({"min_crop": 0.0}, "`min_crop` must be in"),
        ({"fractions": (2.0,), "draws": (1,)}, "`fractions` must be in"),
        ({"draws": (1,)}, "`draws` must be one per fraction"),
        ({"classifier": "tree"}, "`classifier` must be one of"),
        ({"tau_stride": 0}, "`tau_stride` must be >= 1"),
        ({"draws": (1, 0, 1)}, "`draws` must be >= 1"),
        ({"neighbours": (0,)}, "`neighbours` must be >= 1"),
        ({"seed": -1}, "`seed` must be >= 0"),
    ],
)
def test_protocol_out_of_range_is_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**settings)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    data = ClipDataModule(
        rendered=Rendered(train=5, val=3, size=32),
        image_size=32,
        cache=tmp_path_factory.mktemp("cache"),
    )
    data.setup()
    return data


@pytest.mark.slow
def test_baselines_stand_beside_the_embedding_and_the_protocol_beside_both(rendered):
    report = measure(rendered, Encoder(), protocol=Protocol(crops=1))
    rows = report["metrics"]
    assert {"learned", "raw pixels", "raw backbone", "time only"} <= rows.keys()
    assert len({tuple(row) for row in rows.values()}) == 1
    assert rows["time only"]["kendall_tau"] > 0.99  # so tau alone proves nothing
    assert report["protocol"]["min_crop"] == 0.5
    assert json.loads(json.dumps(report))["metrics"] == rows
    assert report["clips"].keys() == rows["learned"].keys()
    for metric, clips in report["clips"].items():
        values, weights = np.array(list(clips.values())).T
        assert weights.sum() == pytest.approx(1, abs=1e-5)  # six digits are kept of each
        assert values @ weights == pytest.approx(rows["learned"][metric], rel=1e-4, abs=1e-5)
    console = Console(record=True, width=120)
    print_report(report, console)
    printed = console.export_text()
    assert "time only" in printed and "each clip aligned with others" in printed


@pytest.mark.parametrize("classifier", ["logistic_plain", "svm"])
def test_other_classifiers_tell_phases_too(classifier):
    crops = [(one_hot(PHASE), PHASE, f"clip{i}") for i in range(4)]
    assert phase_accuracy(crops, [crop[:2] for crop in crops], classifier=classifier) == 1.0
    alike = [(x, np.zeros(20, int), name) for x, _, name in crops]
    assert phase_accuracy(alike, [crop[:2] for crop in alike], classifier=classifier) == 1.0


def test_svm_tells_what_no_line_divides():
    x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    inside = ((x**2).sum(1) < 0.5).astype(int)
    score = {
        c: phase_accuracy([(x, inside, "clip")], [(x, inside)], classifier=c)
        for c in ("svm", "logistic_plain")
    }
    assert score["svm"] > 0.95 > 0.8 > score["logistic_plain"]


def test_protocols_of_papers_are_recorded_by_name(rendered):
    report = measure(rendered, Encoder(), protocol=PROTOCOLS["tcc"])
    assert report["protocol"]["name"] == "tcc"
    assert (report["protocol"]["crops"], report["protocol"]["min_crop"]) == (1, 1.0)
    assert not any(name.startswith("precision") for name in report["metrics"]["learned"])
    assert PROTOCOLS["carl"].record()["tau_stride"] == 5
    assert Protocol(crops=3).record()["name"] == "custom"


def test_without_labels_the_labelled_metrics_are_skipped_with_a_reason(rendered, tmp_path):
    (tmp_path / "clips").mkdir()
    for clip in rendered.collection.clips:
        (tmp_path / "clips" / clip.path.name).write_bytes(clip.path.read_bytes())
    data = ClipDataModule(source="folder", root=tmp_path, image_size=32, cache=tmp_path / "cache")
    data.setup()
    report = measure(data, Encoder(), split="train")
    assert set(report["metrics"]["learned"]) == {"kendall_tau"}
    assert "labels" in report["skipped"]["phase_accuracy"]
    assert report["skipped"].keys() == {"phase_accuracy", "progression_r2", "precision"}


@pytest.fixture
def actions(tmp_path):
    """Two actions of Penn Action, and a third with one validation clip alone."""
    return penn_action(
        tmp_path / "data",
        train=("squat", "bowl") * 3,
        val=("squat", "bowl", "bowl", "squat", "situp"),
        labels=lambda number: [0] * (12 + number) + [1] * 10 + [2] * 8,
    )


def test_actions_are_evaluated_alone_and_averaged(actions, tmp_path):
    encoder = Encoder()

    def report(action):
        data = ClipDataModule(
            source="penn_action", root=actions, action=action, cache=tmp_path, image_size=16
        )
        data.setup()
        return measure(data, encoder, protocol=PROTOCOLS["carl"])

    whole = report(None)
    alone = {action: report(action)["metrics"] for action in ("bowl", "squat")}
    assert whole["actions"] == alone
    for name, row in whole["metrics"].items():
        assert "phase_accuracy@1" in row and "precision@5" in row
        for metric, value in row.items():
            both = [rows[name][metric] for rows in alone.values()]
            assert value == pytest.approx(np.mean(both), abs=1e-12)
    assert whole["skipped"]["situp"] == "fewer than two clips in val"
    assert "actions" not in report("bowl")
    console = Console(record=True, width=120)
    print_report(json.loads(json.dumps(whole)), console)
    output = console.export_text()
    assert "mean of 2 actions" in output and "situp skipped" in output
    assert f"{alone['bowl']['learned']['kendall_tau']:.3f}" in output


def test_actions_with_markup_are_printed_as_they_are(capsys):
    row = {"learned": {"kendall_tau": 0.5}}
    protocol = {"name": "tcc", "min_crop": 1, "classifier": "svm", "tau_stride": 1}
    report = {"split": "val", "protocol": protocol, "metrics": row}
    report |= {"actions": {"[b]pour:tea:": row}, "skipped": {"[i]": "fewer than two clips in val"}}
    print_report(report, plain_console(width=120))
    output = capsys.readouterr().out
    assert "[b]pour:tea: " in output and "[i] skipped" in output and "[bold]" not in output


@pytest.mark.slow
def test_actions_survive_the_import_into_a_folder(actions, tmp_path):
    convert("penn_action", actions, tmp_path / "folder")
    data = ClipDataModule(source="folder", root=tmp_path / "folder", cache=tmp_path, image_size=16)
    data.setup()
    assert list(data.collection.comparable("val")) == ["bowl", "squat"]
    assert {"bowl", "squat"} == measure(data, Encoder())["actions"].keys()
    labels = json.loads((tmp_path / "folder" / "labels.json").read_text())
    labels["clips"]["0000_squat"]["action"] = 3
    (tmp_path / "folder" / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(ValueError, match=r"`clips.0000_squat.action` must be a string, got '3'"):
        read_folder(tmp_path / "folder")


def test_more_neighbours_than_frames_are_skipped(rendered):
    protocol = Protocol(crops=1, neighbours=(5, 10_000), tau_stride=2)
    report = measure(rendered, Encoder(), protocol=protocol)
    assert "precision@5" in report["metrics"]["learned"]
    assert "precision@10000" not in report["metrics"]["learned"]
    assert "other clips have as few as" in report["skipped"]["precision@10000"]


def test_a_split_of_one_clip_is_refused(rendered):
    with pytest.raises(ValueError, match="`split` must have at least two clips"):
        measure(rendered, Encoder(), split="test")
