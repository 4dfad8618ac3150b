"""Command lines answer at once: help and errors need no heavy import, and say what to do next."""

import json
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

from lac._hints import call
from lac.cli import main
from lac.data import write_video

HEAVY = ("lightning", "kornia", "torch", "matplotlib", "sklearn", "scipy", "transformers", "numba")
EXTRA = (*HEAVY[:-1], "av", "jsonargparse", "rich", "tensorboard", "threadpoolctl", "yaml")
PACKAGES = ("data", "encoder", "evaluation", "losses", "pictures")
COMMANDS = ("train", "evaluate", "embed", "align", "check", "label", "app", "compare", "data")

# Runs command lines one after the other, prints what each ends with, then what is imported.
RUN = f"""
import json, runpy, sys
for words in json.loads(sys.argv[1]):
    sys.argv = [words[0], *words[1:]]
    try:
        runpy.run_module("lac." + words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print(end.code if isinstance(end.code, str) else "", end="")
    print(end="\\0")
print(*(name for name in {HEAVY} if sys.modules.get(name)), end="")
"""


def ends(*command_lines, before=""):
    """What each command line ends with, and which heavy packages a process has after all."""
    arguments = [sys.executable, "-c", before + RUN, json.dumps(command_lines)]
    process = subprocess.run(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100
    )
    *outputs, heavy = process.stdout.split("\0")
    assert len(outputs) == len(command_lines), process.stdout
    return outputs, heavy.split()


@pytest.mark.subprocess
def test_importing_lac_imports_nothing_heavy():
    packages = ", ".join(f"lac.{part}" for part in PACKAGES)
    assert ends(before=f"import {packages}") == ([], [])


@pytest.mark.subprocess
def test_help_is_short_and_imports_nothing_heavy():
    outputs, heavy = ends(*([command, "--help"] for command in COMMANDS))
    for command, output in zip(COMMANDS, outputs, strict=True):
        assert output.count(f"  python -m lac.{command}") >= 2  # examples
        assert len(output.splitlines()) < 100  # two screens; a line a setting
    assert heavy == []


ERRORS = {
    "app nowhere": "`VIDEOS_DIR` must be a folder, got nowhere, which is nothing",
    "app . --port 99999": "must be a port, 0 to 65535, got '99999'",
    "app . --run nowhere": "`run` must be a run directory of lac.train or one of",
    "app . --no-browsr": "no option --no-browsr; did you mean --no-browser?",
    "train --data.rot x": "no setting --data.rot; did you mean --data.root?",
    "train --frames 3": "no setting --frames; did you mean --data.frames?",
    "train --lr 3": "no setting --lr; python -m lac.train --help lists the settings",
    "train --model.loss Scll": "one of across, gta, lac, lav, scl, tcc, tcn or a class by its"
    " dotted name, got 'Scll'; did you mean scl?",
    "train --model.loss scl --model.loss.variance 0": "`variance` must be > 0",
    "train --model.loss=TccLoss --model.loss.cycle=x": "`model.loss.cycle` must be one of",
    "train --data.frames=many": "`data.frames` must be a whole number, got 'many'",
    "train --data.frames=1": "`frames` must be >= 2, got 1",
    "train --data.frames": "`data.frames` must be given a value",
    "train --hlep": "no setting --hlep; did you mean --help?",
    "train --config onw": "did you mean own?",
    "train --model.loss=tcm": "did you mean tc",
    "train --config own --data.root {clips} --config {broken}": "{broken} is not valid YAML",
    "train --data.augmentation.flip=2": "`flip` must be in [0, 1.0]",
    "train --data.rendered.size=3": "`size` must be even",
    "train --data.source=folder": "`root` must name a folder",
    "train --data.source=folder --data.root=/nowhere": "`root` must be a folder",
    "train --model.encoder.width=10": "`width` must be a multiple",
    "train --model.warmup=2": "`warmup` must be in [0, 1)",
    "train --trainer.max_epochs=many": "`trainer.max_epochs` must be a whole number or null",
    "train --ema=1": "`ema` must be in (0, 1)",
    "train --config gird": "did you mean grid?",
    "train --config {typo}": "no setting `data.frame` in {typo}; did you mean --data.frames?",
    "train --config {list}": "{list} must hold settings by name",
    "train --run {run} --model.weight_decay=0.5": "`model.weight_decay` must be as the run",
    "evaluate /nowhere": "`run` must be a run directory of lac.train",
    "evaluate {run} --protocol.crops=0": "`crops` must be >= 1",
    "evaluate {run} --protocol.crops=x": "must be a whole number, got 'x'",
    "evaluate {run} --protcol=carl": "no option --protcol; did you mean --protocol?",
    "evaluate {run} --split=vall": "must be one of val, test, train, got 'vall'; did you mean val?",
    "evaluate {run} --checkpoint=best": "`checkpoint` must be one that",
    "embed /nowhere a.mp4 -o out": "`run` must be a run directory of lac.train or one of 'lite0'",
    "embed lite0 {text} -o out": "not a video but text, which begins 'what was filmed'",
    "embed lite0 {text} {text} -o out": "`videos` must differ in name",
    "embed lite0 a.mp4": "the following arguments are required: --output/-o",
    "align lit0 a.mp4 b.mp4": "did you mean lite0?",
    "align lite0 {text} b.mp4": "not a video but text",
    "align lite0 a.mp4 b.mp4": "a.mp4: no such file",
    "align a.mp4 b.mp4": "the following arguments are required: B (in order RUN A B)",
    "align lite0 a.mp4 b.mp4 -o both.txt": "`output` must end in one of",
    "align lite0 a.mp4 b.mp4 --every=0": "must be a whole number >= 1",
    "label lit0 {clips}": "did you mean lite0?",
    "label lite0 {clips}": "must have clips with phases in labels.json and clips without",
    "compare /nowhere": "`runs` must be finished runs",
    "data chekc .": "invalid choice: 'chekc'",
    "data check . --layout=gird": "did you mean grid?",
    "data import videos /nowhere new": "`source` must be a folder",
}


@pytest.mark.subprocess
def test_errors_are_one_line_and_import_nothing_heavy(tmp_path):
    places = {name: tmp_path / name for name in ("run", "text", "typo", "list", "broken", "clips")}
    (places["run"] / "checkpoints").mkdir(parents=True)
    (places["run"] / "config.yaml").write_text("model: {weight_decay: 0.01}\ndata: {frames: 8}\n")
    places["text"].write_text("what was filmed\n")
    places["typo"].write_text("data: {frame: 3}\n")
    places["list"].write_text("[1]\n")
    places["broken"].write_text("data: [1\n")
    places["clips"].mkdir()
    write_video(places["clips"] / "a.mp4", np.zeros((2, 3, 32, 32), np.uint8))
    lines = [line.format(**places).split() for line in ERRORS]
    outputs, heavy = ends(*lines)
    for words, output, expected in zip(lines, outputs, ERRORS.values(), strict=True):
        assert expected.format(**places) in output, words
        error, *hint = output.strip().splitlines()
        assert error.startswith("error: ") and len(hint) <= 1, words
    assert heavy == []


def test_one_command_leads_to_all_others():
    lines = ["", "--help", "trian --help", "--hlep", *(f"{name} --help" for name in COMMANDS)]
    outputs, heavy = ends(*(["__main__", *line.split()] for line in lines))
    nothing, usage, command, option, *helps = outputs
    assert nothing == usage and all(f"\n    {name} " in usage for name in COMMANDS)
    assert command.startswith("error: no command trian; did you mean train?\n")
    assert option.startswith("error: no option --hlep; did you mean --help?\n")
    for name, output in zip(COMMANDS, helps, strict=True):
        assert output.count(f"python -m lac {name}") >= 3  # usage, examples
    assert heavy == []


def test_commands_are_shown_as_they_are_called(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/lac"])
    with pytest.raises(SystemExit, match="0"):
        main(["align", "--help"])
    output = capsys.readouterr().out
    assert output.startswith("usage: lac align ") and "\n  lac align lite0 " in output


@pytest.mark.parametrize("place", ["here", "elsewhere", "found"])
def test_commands_that_are_told_are_of_the_python_that_runs(place, tmp_path, monkeypatch):
    environment = tmp_path / "my env" / "bin"
    environment.mkdir(parents=True)
    for folder in (environment, tmp_path / "usr"):
        folder.mkdir(exist_ok=True)
        (folder / "python").symlink_to(sys.executable)  # as in virtual environments
    monkeypatch.setattr(sys, "executable", str(environment / "python"))
    monkeypatch.setenv("PATH", str(environment if place == "found" else tmp_path / "usr"))
    monkeypatch.chdir(tmp_path / "usr" if place == "elsewhere" else tmp_path)
    expected = {"here": "'my env/bin/python'", "elsewhere": f"'{environment}/python'"}
    assert call("lac.align") == f"{expected.get(place, 'python')} -m lac.align"


@pytest.mark.subprocess
def test_missing_extras_are_named(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("model: {}\n")
    (tmp_path / "run" / "metrics.json").write_text("{}")
    run, video = str(tmp_path / "run"), str(tmp_path / "a.mp4")
    (tmp_path / "a.mp4").touch()
    outputs, _ = ends(
        ["train"],
        ["evaluate", run],
        ["embed", "lite0", video, "-o", "out"],
        ["align", "lite0", video, video],
        ["compare", run],
        ["data", "check", str(tmp_path)],
        before=f"import sys; sys.modules.update(dict.fromkeys({EXTRA}))",
    )
    for output in outputs:
        (line,) = output.splitlines()
        assert line.startswith("error: the package ")
        assert line.endswith(' is not installed: pip install "fastsw[lac]"')


@pytest.mark.subprocess
@pytest.mark.parametrize("name", ["lac.load", "lac.data.read_video", "lac.losses.SclLoss"])
def test_a_name_whose_package_is_missing_says_what_to_install(name):
    package = name.rpartition(".")[0]
    program = f"""
import sys; sys.modules.update(dict.fromkeys({EXTRA}))
import {package}
try: {name}
except ModuleNotFoundError as error: print(error)
"""
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    assert output.startswith("the package ")
    assert output.endswith(' is not installed: pip install "fastsw[lac]"\n')


@pytest.mark.parametrize("name", ["lac", *(f"lac.{part}" for part in PACKAGES)])
def test_lazy_names_are_there_and_listed(name):
    package = import_module(name)
    assert {*package.__all__} <= {*dir(package)}
    assert "TYPE_CHECKING" not in dir(package)
    for attribute in package.__all__:
        assert getattr(package, attribute) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018
