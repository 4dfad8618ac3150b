"""Forward values of the authors' LAC code (arXiv 2409.04607), on the inputs of its run."""

from pathlib import Path

import numpy as np
import pytest

import fastsw
from fastsw._reference import soft_align

OUTPUTS = Path(__file__).parents[2] / "../shared/reference/lac_official.npz"
CASES = [f"sw{k}" for k in range(5)]


@pytest.fixture(scope="module")
def outputs():
    if not OUTPUTS.exists():
        pytest.skip("the outputs of the authors' code, ../shared/reference, are not here")
    return np.load(OUTPUTS, allow_pickle=False)


@pytest.mark.parametrize("case", CASES)
def test_scores_equal_the_authors(outputs, case):
    # 1e-5: the authors compute in float32, term by term.
    similarity = outputs[f"{case}_similarity"]
    options = dict(
        gap_open=outputs[f"{case}_gap_open"],
        gap_extend=outputs[f"{case}_gap_extend"],
        temperature=float(outputs[f"{case}_temperature"]),
    )
    wanted = float(outputs[f"{case}_score"])
    for dtype in (np.float32, np.float64):
        assert fastsw.score(similarity.astype(dtype), **options) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_match_tables_equal_the_authors(outputs, case):
    gap_open, gap_extend = outputs[f"{case}_gap_open"], outputs[f"{case}_gap_extend"]
    reference = soft_align(
        outputs[f"{case}_similarity"],
        (gap_open, gap_extend, gap_open, gap_extend),
        temperature=float(outputs[f"{case}_temperature"]),
        mode="local",
    )
    np.testing.assert_allclose(
        reference.match_table, outputs[f"{case}_match_table"], rtol=1e-5, atol=1e-6
    )
