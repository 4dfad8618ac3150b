"""What docs/results/embeddings.md says of real recordings and real proteins."""

import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def measure():
    pytest.importorskip("matplotlib")
    return runpy.run_path(str(ROOT / "docs" / "measure_embeddings.py"))


def test_passages_that_two_recordings_share_are_their_best_hits(measure):
    sounds = DATA / "grid" / "logmel40_100hz.npz"
    if not sounds.exists():
        pytest.skip(f"no sounds at {sounds}")
    first, second = measure["recordings"](sounds, 0)
    hits = measure["passages"](measure["similarity"](first, second))
    found, right = measure["rightly_paired"](hits[: measure["SHARED"]], first, second)
    assert found > 0.99 and right > 0.7
    assert hits[measure["SHARED"]].score < 0.7 * hits[measure["SHARED"] - 1].score


def test_residues_of_antibodies_are_paired_as_their_numbers_are(measure):
    folder = DATA / "protein_sabr"
    if not folder.exists():
        pytest.skip(f"no antibodies at {folder}")
    shares = np.array([found[3:] for found in measure["agreements"](folder)])
    aligned, nearest = shares.mean(0)
    assert aligned > 0.93 and nearest < 0.65
    assert (shares[:, 0] > shares[:, 1] + 0.15).all()
