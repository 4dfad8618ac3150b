"""The types of the public functions' answers, as a user's type checker sees them."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

TYPED = """
from typing import Any

import numpy as np
import torch

import fastsw

array, tensor = np.zeros((2, 3)), torch.zeros(2, 3)
foreign: Any = array
reveal_type(fastsw.score(array, gap_open=1.0, gap_extend=0.5))
reveal_type(fastsw.score([array], gap_open=1.0, gap_extend=0.5))
reveal_type(fastsw.score(tensor, gap_open=1.0, gap_extend=0.5, mode="global"))
reveal_type(fastsw.score(foreign, gap_open=1.0, gap_extend=0.5))
reveal_type(fastsw.posterior(array, gap_open=1.0, gap_extend=0.5, temperature=0.1))
reveal_type(fastsw.posterior([tensor, tensor], gap_open=1.0, gap_extend=0.5))
reveal_type(fastsw.entropy(tensor, gap_open=1.0, gap_extend=0.5))
reveal_type(fastsw.soft_dtw(array, bandwidth=3))
value, gradients = fastsw.value_and_grad(tensor, gap_open=1.0, gap_extend=0.5)
reveal_type(value)
reveal_type(gradients.similarity)
reveal_type(gradients.temperature)
of_list = fastsw.value_and_grad([array], gap_open=1.0, gap_extend=0.5)[1]
reveal_type(of_list.similarity)
reveal_type(of_list.temperature)
reveal_type(fastsw.traceback(array, gap_open=1.0, gap_extend=0.5))
"""

SEEN = [
    "ndarray",
    "ndarray",
    "Tensor",
    "Any",
    "ndarray",
    "list[Tensor]",
    "Tensor",
    "ndarray",
    "Tensor",
    "Tensor",
    "Tensor",
    "list[ndarray]",
    "ndarray",
    "list[Alignment] | Alignment",
]

MISTAKEN = """
import numpy as np

import fastsw

fastsw.score(np.zeros((2, 3)), gap_open=1.0, gap_extend=0.5, mode="lokal")
fastsw.posterior(np.zeros((2, 3)), gap_open=1.0)
fastsw.soft_dtw(np.zeros((2, 3)), bandwith=3)
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """What mypy says of both programs."""
    if find_spec("mypy") is None or find_spec("torch") is None:
        pytest.skip("needs mypy and torch")
    folder = tmp_path_factory.mktemp("typed")
    files = []
    for name, text in (("typed", TYPED), ("mistaken", MISTAKEN)):
        files.append(folder / f"{name}.py")
        files[-1].write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", folder]
    run = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    return run.stdout


@pytest.mark.slow
@pytest.mark.subprocess
def test_arrays_and_tensors_give_their_like(checked):
    seen = re.findall(r'typed\.py:\d+: note: Revealed type is "(.*)"', checked)
    plain = [re.sub(r"\b[\w.]+\.(?=\w+)|(?<=ndarray)\[tuple.*?\]\]", "", text) for text in seen]
    assert plain == SEEN
    assert not re.search(r"[/\\]typed\.py:\d+: error", checked)


@pytest.mark.slow
@pytest.mark.subprocess
def test_mistakes_in_options_are_found(checked):
    lines = set(re.findall(r"mistaken\.py:(\d+): error", checked))
    assert lines == {"6", "7", "8"}
