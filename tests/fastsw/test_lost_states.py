"""States that the fast traversal must not lose; each was once lost."""

import numpy as np

import fastsw
from fastsw._reference import soft_align


def test_both_directions_of_a_dear_extension_count():
    s = np.array(
        [
            [85.97, -59.53, -59.79, -59.44],
            [-59.59, -59.31, -84.36, -84.47],
            [-59.62, -84.63, -84.8, -84.69],
            [-84.72, -59.92, -59.89, 60.78],
            [-59.66, -59.52, -84.43, 60.96],
            [60.97, -84.0, -84.54, 60.57],
        ],
        np.float32,
    )
    reference = soft_align(s, (0.0, 30.4, 0.0, 30.4), temperature=1.0, mode="fitting")
    found = fastsw.posterior(s, gap_open=0.0, gap_extend=30.4, mode="fitting")
    np.testing.assert_allclose(found, reference.posterior, atol=2e-5)


def test_a_gap_that_pays_does_not_hide_the_end():
    s = np.zeros((1, 40, 1))
    s[0, 30] = 1
    options = {"gap_open": 0.5, "gap_extend": -0.2, "temperature": 0.005}
    np.testing.assert_allclose(fastsw.score(s, **options), [1.0], rtol=1e-12)
