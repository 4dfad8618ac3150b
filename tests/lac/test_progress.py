"""Long work says how far it is: lines where there is no terminal, a bar where there is one."""

import os
import subprocess
import sys
import time

import pytest

from lac import _progress
from lac._progress import announced, part, progress


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Lines come soon."""
    monkeypatch.setattr(_progress, "FIRST", 0.02)
    monkeypatch.setattr(_progress, "EVERY", 0.02)


def wait_for(capsys, text):
    """Wait until something has been said."""
    said = ""
    deadline = time.monotonic() + 20
    while text not in said:
        assert time.monotonic() < deadline, said
        time.sleep(0.01)
        said += capsys.readouterr().err
    return said


def test_items_are_counted_and_the_time_is_estimated(capsys):
    for item in progress([1, 2, 3], "Reading clips"):
        if item == 1:
            assert "left" not in wait_for(capsys, "Reading clips: 0 of 3\n")
        if item == 2:
            wait_for(capsys, "Reading clips: 1 of 3, about 1 s left\n")


def test_work_within_work_is_shown_beside_it(capsys):
    for _ in progress(range(2), "Embedding"):
        for frame in part(iter("abc"), "decoding a.mp4"):
            if frame == "b":
                wait_for(capsys, "Embedding: 0 of 2; decoding a.mp4: 1\n")
        break
    with announced("Loading"):
        wait_for(capsys, "Loading\n")


def test_parts_alone_and_short_work_say_nothing(capsys, monkeypatch):
    for _ in part(range(3), "decoding"):
        time.sleep(0.03)
    monkeypatch.setattr(_progress, "FIRST", 60)
    assert [*progress("abc", "Reading clips")] == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_more_items_than_were_claimed_are_counted_alone(capsys):
    for item in progress(range(4), "decoding", total=2):
        if item == 3:
            wait_for(capsys, "decoding: 3\n")


def test_an_error_ends_the_report(capsys):
    with pytest.raises(KeyError), announced("Loading"):
        raise KeyError
    assert _progress._running == []


@pytest.mark.subprocess
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals on this system")
def test_a_terminal_shows_a_bar_and_files_get_only_the_output():
    program = """
import sys, time
from lac._progress import progress
for _ in progress(range(4), "Reading [clips]"):
    while "rich.progress" not in sys.modules:
        time.sleep(0.1)
    time.sleep(0.5)
    print("line")
"""
    ours, theirs = os.openpty()
    process = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert process.stdout.split() == [b"line"] * 4
    assert "Reading [clips]: " in shown and " of 4" in shown and "line" not in shown
