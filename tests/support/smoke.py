"""The smoke share of a parametrised test: few of its items, in which every value occurs.

A test of 3 modes, 2 dtypes and 20 shapes has 120 items. What one value breaks shows in any item
that has it, so 20 items are enough to notice; what only a pair of values breaks is left to the
full run.
"""


def families(items):
    """Parametrised items by the test that they are of; those that are slow by themselves apart."""
    found = {}
    for item in items:
        if hasattr(item, "callspec") and item.get_closest_marker("slow") is None:
            found.setdefault((item.parent.nodeid, item.originalname), []).append(item)
    return found.values()


def rest(family):
    """All items but a share that has every value of every parameter, chosen greedily.

    The marker `smoke` limits the share of a test whose items take long.
    """
    limit = next((mark.args[0] for mark in family[0].iter_markers("smoke")), len(family))
    # Ties go to items far from each other in the list, of which neighbours are alike.
    order = sorted(range(len(family)), key=lambda i: i * 0.618 % 1)
    # By identity: values may be arrays or functions, and all items share the list of them.
    values = {
        family[i]: {(name, id(value)) for name, value in family[i].callspec.params.items()}
        for i in order
    }
    missing = set().union(*values.values())
    while missing and len(family) - len(values) < limit:
        best = max(values, key=lambda item: len(values[item] & missing))
        missing -= values.pop(best)
    return list(values)
