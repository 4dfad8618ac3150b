"""Max-plus numbers: scores of which `+` takes the larger and `*` the sum, as at temperature 0.

Their parts are doubles or vectors of doubles. Of two that are equal a sum takes one, no matter
which; `later` tells that the second term is the larger one.
"""

from __future__ import annotations

import operator

from numba.core import types
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    overload,
    register_model,
    type_callable,
)

from fastsw._cpu.runtime.compile import EXPANDED_OPTIONS
from fastsw._cpu.simd.dual import mul_add, sum_of_three


class MaxPlus(types.Type):
    """Numba type of a max-plus number."""

    def __init__(self, part: types.Type):
        self.part = part
        super().__init__(name=f"MaxPlus({part.name})")


@register_model(MaxPlus)
class _MaxPlusModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, manager.lookup(kind.part).get_value_type())


@intrinsic
def max_plus(context, a):
    """A score, or a vector of scores, as a number."""
    return MaxPlus(a)(a), lambda context, builder, signature, arguments: arguments[0]


@intrinsic
def score_of(context, a):
    """The score that a number stands for."""
    return a.part(a), lambda context, builder, signature, arguments: arguments[0]


@intrinsic
def later(context, a, b):
    """Whether the second term of a sum is the larger."""

    def generate(context, builder, signature, arguments):
        return builder.fcmp_ordered(">", arguments[1], arguments[0])

    return types.boolean(a, b), generate


@type_callable(operator.add)
@type_callable(operator.mul)
def _type_of_two(context):
    return lambda a, b: a if isinstance(a, MaxPlus) and a == b else None


@type_callable(mul_add)
def _type_of_three(context):
    return lambda a, b, c: a if isinstance(a, MaxPlus) and a == b == c else None


@lower_builtin(operator.add, MaxPlus, MaxPlus)
def _add(context, builder, signature, arguments):
    return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)


@lower_builtin(operator.mul, MaxPlus, MaxPlus)
def _multiply(context, builder, signature, arguments):
    return builder.fadd(*arguments)


@lower_builtin(mul_add, MaxPlus, MaxPlus, MaxPlus)
def _multiply_add(context, builder, signature, arguments):
    terms = arguments[2], builder.fadd(*arguments[:2])
    return builder.select(builder.fcmp_ordered(">", *terms), *terms)


@overload(sum_of_three, jit_options=EXPANDED_OPTIONS)
def _sum_of_three(a, b, c):
    return (lambda a, b, c: a + b + c) if isinstance(a, MaxPlus) else None
