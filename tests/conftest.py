import pytest

#: Not for doctest: some of it needs the simulator, and numba-cuda's compiler.
collect_ignore = ["support"]

pytest.register_assert_rewrite("tests.support")

from tests.support import smoke  # noqa: E402


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark as slow all items of a parametrised test but those of its smoke share.

    Tests on a GPU are left as they are: there `slow` stands for compilation, by hand.
    """
    for family in smoke.families(items):
        if not any(item.get_closest_marker("gpu") for item in family):
            for item in smoke.rest(family):
                item.add_marker("slow")
