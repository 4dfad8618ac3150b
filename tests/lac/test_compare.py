"""Comparing runs: what shares a row, a table, and what is refused."""

import json

import pytest
import yaml

from lac.cli import compare


def write_run(
    path, *, seed=0, loss="LacLoss", settings=None, accuracy=0.5, root="/clips/grid", **report
):
    """A finished run, as far as a comparison reads it."""
    path.mkdir(parents=True)
    config = {
        "seed_everything": seed,
        "model": {"loss": {"class_path": f"lac.losses.{loss}", "init_args": settings or {}}},
        "data": {"source": "folder", "root": root, "cache": str(path)},
    }
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    metrics = {
        "learned": {"phase_accuracy@1": accuracy, "kendall_tau": 0.9},
        "time only": {"phase_accuracy@1": 0.55, "kendall_tau": 0.999},
    }
    protocol = {"name": "ours", "crops": 2, "min_crop": 0.5}
    written = {"split": "val", "protocol": protocol, "metrics": metrics} | report
    (path / "metrics.json").write_text(json.dumps(written))
    return str(path)


def test_runs_that_differ_by_seed_share_a_row_with_mean_and_spread(tmp_path, capsys):
    runs = [
        write_run(
            tmp_path / "a0", seed=0, settings={"alignment": "score", "weight": 0.2}, accuracy=0.6
        ),
        write_run(
            tmp_path / "a1", seed=1, settings={"alignment": "score", "weight": 0.2}, accuracy=0.8
        ),
        write_run(
            tmp_path / "b0", seed=0, settings={"alignment": "none", "weight": 0.1}, accuracy=0.65
        ),
        write_run(tmp_path / "c0", seed=0, loss="SclLoss", accuracy=0.9),
    ]
    compare.main([*runs, "-o", str(tmp_path / "out")])
    rows = (tmp_path / "out" / "comparison.md").read_text().splitlines()[4:]
    assert rows == [
        "| Scl | 1 | **0.900** | **0.900** |",
        "| Lac score weight=0.2 | 2 | 0.700 (0.141) | **0.900** |",
        "| Lac none weight=0.1 | 1 | 0.650 | **0.900** |",
        "| time only |  | 0.550 | 0.999 |",
        "",
        "Fewer runs than 2: Scl (1), Lac none weight=0.1 (1).",
    ]
    output = capsys.readouterr().out
    assert "Scl" in output and "Fewer runs than 2" in output
    assert (tmp_path / "out" / "comparison-1.png").stat().st_size > 0


def measured(values):
    """What a run tells of each clip."""
    clips = {name: [value, 0.25] for name, value in zip("abcd", values, strict=True)}
    return {"phase_accuracy@1": clips, "kendall_tau": clips}


def test_rows_are_tested_against_one_where_runs_tell_of_clips(tmp_path, capsys):
    runs = [
        write_run(
            tmp_path / f"{loss}{seed}", seed=seed, loss=loss, accuracy=acc + gain, clips=clips
        )
        for loss, gain in (("SclLoss", 0.0), ("LacLoss", 0.1))
        for seed, acc in enumerate((0.5, 0.52, 0.51))
        for clips in [measured([acc + gain + 0.01 * seed * k for k in (0, 1, 3, -4)])]
    ]
    compare.main([*runs, "-o", str(tmp_path / "out")])
    lines = (tmp_path / "out" / "comparison.md").read_text().splitlines()
    head = lines.index("| | Lac | Scl |")
    figure, difference = lines[head + 2].split(" | ")[1:]
    assert figure.startswith("0.610 (0.") and difference.startswith("-0.100 (-0.1")
    assert "p 0.12, 0" in difference  # of 4 clips the signs of all are as likely as 2 in 16
    assert "\u2605" not in difference
    assert lines[-1].startswith("Difference from the first column")
    assert "Difference from the first column" in capsys.readouterr().out
    compare.main([*runs, "-o", str(tmp_path / "out"), "--against", "Scl"])
    assert "| | Scl | Lac |" in (tmp_path / "out" / "comparison.md").read_text()
    with pytest.raises(SystemExit) as refusal:
        compare.main([*runs, "-o", str(tmp_path / "out"), "--against", "Tcn"])
    assert "`against` must be the name of a row, Lac, Scl, got Tcn" in str(refusal.value)


def test_runs_from_before_clips_were_aligned_go_with_later_ones(tmp_path):
    later = {
        name: {"phase_accuracy@1": 0.5, "kendall_tau": 0.9, "alignment_error": 3.0}
        for name in ("learned", "time only")
    }
    runs = [
        write_run(tmp_path / "before"),
        write_run(tmp_path / "later", seed=1, metrics=later, clips=measured([0.5] * 4)),
    ]
    compare.main([*runs, "-o", str(tmp_path / "out")])
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "| | runs | acc@1 | tau |" in text and "Difference" not in text


def test_of_errors_the_lowest_is_the_best(tmp_path):
    runs = [
        write_run(tmp_path / loss, loss=loss, metrics={"learned": {"alignment_error": error}})
        for loss, error in (("LacLoss", 4.0), ("SclLoss", 3.0))
    ]
    compare.main([*runs, "-o", str(tmp_path / "out")])
    assert "| Scl | 1 | **3.000** |" in (tmp_path / "out" / "comparison.md").read_text()


def test_other_clips_have_a_table_of_their_own(tmp_path):
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b")]
    config = yaml.safe_load((tmp_path / "b" / "config.yaml").read_text())
    config["data"]["root"] = "/clips/other"
    (tmp_path / "b" / "config.yaml").write_text(yaml.safe_dump(config))
    compare.main([*runs, "-o", str(tmp_path / "out")])
    heads = [
        line for line in (tmp_path / "out/comparison.md").read_text().split("\n") if "##" in line
    ]
    assert [head.split(":")[0] for head in heads] == ["## folder grid", "## folder other"]
    assert "protocol ours" in heads[0]


def test_names_with_markup_are_shown_as_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    name = r"[b]a:dog:$\no$|*c*"
    runs = [
        write_run(tmp_path / weight, root=f"/clips/{name}", settings={"weight": weight})
        for weight in ("[b]:cat:", "[red]")
    ]
    compare.main([*runs, "-o", str(tmp_path / "[b]out")])
    output = capsys.readouterr().out
    assert f"folder {name}: val clips" in output and "weight=[b]:cat: " in output
    assert "weight=[red] " in output and f"are in {tmp_path}/[b]out" in output
    text = (tmp_path / "[b]out" / "comparison.md").read_text()
    assert text.startswith(r"## folder \[b\]a:dog:$\\no$\|\*c\*: val clips")
    assert r"| Lac weight=\[red\] | 1 |" in text


def test_raw_features_of_different_backbones_are_told_apart(tmp_path):
    runs = []
    for backbone, raw, tau in (
        ("small", ("raw pixels", "raw backbone"), 0.2),
        ("lite0", ("raw backbone",), 0.7),
    ):
        metrics = {name: {"kendall_tau": tau} for name in ("learned", *raw)}
        metrics["time only"] = {"kendall_tau": 0.9}
        runs.append(write_run(tmp_path / backbone, metrics=metrics))
        config = yaml.safe_load((tmp_path / backbone / "config.yaml").read_text())
        config["model"]["encoder"] = {"init_args": {"backbone": backbone, "context": None}}
        (tmp_path / backbone / "config.yaml").write_text(yaml.safe_dump(config))
    compare.main([*runs, "-o", str(tmp_path / "out")])
    rows = (tmp_path / "out" / "comparison.md").read_text().splitlines()[4:]
    assert rows == [
        "| Lac lite0 | 1 | **0.700** |",
        "| Lac small | 1 | 0.200 |",
        "| raw pixels |  | 0.200 |",
        "| raw backbone (small) |  | 0.200 |",
        "| time only |  | 0.900 |",
        "| raw backbone (lite0) |  | 0.700 |",
    ]


def test_runs_measured_otherwise_or_twice_or_not_at_all_are_refused(tmp_path):
    one = write_run(tmp_path / "one")
    other = write_run(tmp_path / "other", seed=1, protocol={"crops": 1, "min_crop": 1.0})
    again = write_run(tmp_path / "again")
    alone = write_run(tmp_path / "alone", metrics={}, note="one clip alone")
    lesser = write_run(tmp_path / "lesser", seed=1, metrics={"learned": {"kendall_tau": 0.9}})
    damaged, unread = write_run(tmp_path / "damaged"), write_run(tmp_path / "unread")
    (tmp_path / "damaged" / "metrics.json").write_text("{")
    (tmp_path / "unread" / "config.yaml").write_text("]: [")
    for runs, message in (
        ([one, other], "`runs` on the same clips must have the same protocol"),
        ([one, again], "`runs` must differ in settings or seed"),
        ([one, one], "`runs` must differ in settings or seed"),
        ([one, lesser], "`runs` on the same clips must have the same metrics"),
        ([one, damaged], "damaged/metrics.json is not valid JSON"),
        ([one, unread], "unread/config.yaml is not valid YAML"),
        ([one, str(tmp_path / "none")], "`runs` must be finished runs"),
        ([one, alone], "`runs` must have been measured"),
    ):
        with pytest.raises(SystemExit) as refusal:
            compare.main([*runs, "-o", str(tmp_path / "out")])
        assert message in str(refusal.value)
