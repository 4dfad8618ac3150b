"""States that the fast traversal must not lose; each was once lost."""

import numpy as np

import fastsw
from fastsw._reference import soft_align


def test_both_directions_of_a_dear_extension_count():
    s = np.full((6, 4), -59.6, np.float32)
    s[0, 0], s[3, 3], s[4, 3], s[5, 0], s[5, 3] = 85.97, 60.78, 60.96, 60.97, 60.57
    s[1:, 1:3] = -84.5
    reference = soft_align(s, (0.0, 30.4, 0.0, 30.4), temperature=1.0, mode="fitting")
    found = fastsw.posterior(s, gap_open=0.0, gap_extend=30.4, mode="fitting")
    np.testing.assert_allclose(found, reference.posterior, atol=2e-5)


def test_a_gap_that_pays_does_not_hide_the_end():
    s = np.zeros((1, 40, 1))
    s[0, 30] = 1
    options = {"gap_open": 0.5, "gap_extend": -0.2, "temperature": 0.005}
    np.testing.assert_allclose(fastsw.score(s, **options), [1.0], rtol=1e-12)
