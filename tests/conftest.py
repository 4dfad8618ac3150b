import pytest

#: Not for doctest: some of it needs the simulator, and numba-cuda's compiler.
collect_ignore = ["support"]

pytest.register_assert_rewrite("tests.support")
