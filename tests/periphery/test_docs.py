"""What the documentation site shows runs as it stands."""

import doctest
import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path.name for path in (DOCS / "coming_from").glob("*.md") if path.stem != "index")
TUTORIALS = sorted(path.name for path in (DOCS / "tutorials").glob("*.py"))
PEERS = "parasail", "tslearn"


def blocks(page, kind):
    """The fenced blocks of a kind on a page."""
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def imports(block):
    """The packages that a block of examples imports at its top."""
    return set(re.findall(r"^>>> (?:from|import) (\w+)", block, flags=re.MULTILINE))


def run(page, chosen):
    """Run the blocks of a page one after the other, as examples of one session."""
    examples = doctest.DocTestParser().get_doctest("\n".join(chosen), {}, page.name, str(page), 0)
    assert examples.examples
    told = []
    failed, _ = doctest.DocTestRunner(verbose=False).run(examples, out=told.append)
    assert not failed, "".join(told)


@pytest.mark.parametrize("name", PAGES)
def test_what_newcomers_read_runs(name):
    page = DOCS / "coming_from" / name
    ours = [block for block in blocks(page, "pycon") if not imports(block) & set(PEERS)]
    for package in set().union(*map(imports, ours)):
        pytest.importorskip(package)
    run(page, ours)


@pytest.mark.slow  # tslearn compiles its functions
@pytest.mark.parametrize("peer", PEERS)
def test_peers_answer_what_the_page_says(peer):
    pages = [DOCS / "coming_from" / name for name in PAGES]
    (page,) = (page for page in pages if any(peer in imports(b) for b in blocks(page, "pycon")))
    for package in set().union(*map(imports, blocks(page, "pycon"))):
        pytest.importorskip(package)
    run(page, blocks(page, "pycon"))


def test_start_page_runs(capsys):
    pytest.importorskip("torch")
    names = {}
    for block in blocks(DOCS / "index.md", "python"):
        exec(compile(block, "index.md", "exec"), names)
    assert names["x"].grad is not None
    assert "pairs" in capsys.readouterr().out


def test_page_on_collections_and_machines_runs(capsys):
    pytest.importorskip("distributed")
    names = {"__name__": "__main__"}
    for block in blocks(DOCS / "machines.md", "python"):
        exec(compile(block, "machines.md", "exec"), names)
    lag, masses, *_, found, same = capsys.readouterr().out.splitlines()
    assert float(lag) == 200.0
    outside, inside = map(float, masses.split())
    assert outside < 0.3 and inside > 0.9
    assert found.endswith("[[2]]") and same == "True"


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_runs(name, monkeypatch, capsys):
    for package in ("torch", "Bio"):
        pytest.importorskip(package)
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.setattr(pyplot, "show", lambda: pyplot.close("all"))
    names = runpy.run_path(str(DOCS / "tutorials" / name))
    assert capsys.readouterr().out
    # What the text around the code says of its answers.
    if name == "1_recordings.py":
        assert abs(names["moment"].mean() - (50 - 12) / 1.5) < 3
    elif name == "2_proteins.py":
        assert set(names["found"]) == set(names["hidden"])
    else:
        assert names["losses"][-1] < names["losses"][0]
        assert names["learned"]["gap_extend"] < names["learned"]["gap_open"]
        assert names["recall"](**names["learned"]) > names["recall"](gap_open=0.3, gap_extend=1.0)


def test_every_tutorial_is_tested():
    assert TUTORIALS == ["1_recordings.py", "2_proteins.py", "3_gap_penalties.py"]


def test_the_commands_of_the_site_are_those_of_lac():
    pytest.importorskip("yaml")
    from lac.cli import _COMMANDS

    page = (DOCS / "commands.md").read_text()
    assert re.findall(r"^## lac (\w+)$", page, flags=re.MULTILINE) == list(_COMMANDS)


def test_options_that_pages_name_are_those_of_lac_train(capsys):
    pytest.importorskip("jsonargparse")
    from lac.cli import main

    text = "".join((DOCS / "coming_from" / name).read_text() for name in PAGES)
    # `train.py --config=FILE` is a command of others.
    named = set(re.findall(r"(?<![-\w])--[a-z][\w.]*(?=[ `])", text))
    main(["train", "--help"])
    shown = capsys.readouterr().out
    assert {"--run", "--model.learning_rate"} <= named
    assert not {option for option in named if option not in shown}
