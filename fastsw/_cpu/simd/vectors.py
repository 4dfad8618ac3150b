"""Explicit SIMD values for Numba: LLVM vectors of floats and of integers of the same size.

LLVM does not vectorise loops over lanes whose body is a recurrence, so kernels say what is a
vector. Any number of lanes compiles on any processor; LLVM splits what is wider than a register.
Here are the type and its arithmetic; `lanes` gathers all that depends on a vector's size.
"""

from __future__ import annotations

import functools
import operator

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

I1, I32 = ir.IntType(1), ir.IntType(32)


class Vector(types.Type):
    """Numba type of `lanes` floats ("f") or integers ("i") of `bits` bits."""

    def __init__(self, kind: str, bits: int, lanes: int):
        self.kind, self.bits, self.lanes = kind, bits, lanes
        super().__init__(name=f"Vector({kind}{bits}x{lanes})")

    @property
    def element(self):
        """LLVM type of one lane."""
        if self.kind == "i":
            return ir.IntType(self.bits)
        return ir.FloatType() if self.bits == 32 else ir.DoubleType()

    @property
    def llvm(self):
        """LLVM type of the whole vector."""
        return ir.VectorType(self.element, self.lanes)

    @property
    def suffix(self):
        """How LLVM's overloaded intrinsics spell the type."""
        return f"v{self.lanes}{self.kind}{self.bits}"

    @property
    def alignment(self):
        """Bytes of one lane, at whose multiples a vector may lie in memory."""
        return self.bits // 8

    @property
    def mantissa(self):
        """Bits of a float's mantissa that are stored, the lowest ones."""
        return 23 if self.bits == 32 else 52

    def constant(self, value):
        """LLVM constant with the same value in all lanes."""
        return ir.Constant(self.llvm, [self.element(value)] * self.lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, vector.llvm)


def _binary(on_floats, on_integers):
    @intrinsic
    def operation(context, a, b):
        if not (isinstance(a, Vector) and a == b):
            return None

        def generate(context, builder, signature, arguments):
            name = on_floats if a.kind == "f" else on_integers
            return getattr(builder, name)(*arguments)

        return a(a, b), generate

    return operation


_add, _subtract = _binary("fadd", "add"), _binary("fsub", "sub")
_multiply, _divide = _binary("fmul", "mul"), _binary("fdiv", "sdiv")

for _operator, _operation in (
    (operator.add, _add),
    (operator.sub, _subtract),
    (operator.mul, _multiply),
    (operator.truediv, _divide),
):

    def _declare(operation):
        def implement(a, b):
            if isinstance(a, Vector) and isinstance(b, Vector):
                return lambda a, b: operation(a, b)
            return None

        return implement

    overload(_operator, inline="always")(_declare(_operation))


def _compare(builder, vector, how, a, b):
    if vector.kind == "f":
        return builder.fcmp_ordered(how, a, b)
    return builder.icmp_signed(how, a, b)


@intrinsic
def vmax(context, a, b):
    """Lane-wise maximum; of b where a lane of a is NaN."""

    def generate(context, builder, signature, arguments):
        return builder.select(_compare(builder, a, ">", *arguments), *arguments)

    return a(a, b), generate


@intrinsic
def vmin(context, a, b):
    """Lane-wise minimum; of b where a lane of a is NaN."""

    def generate(context, builder, signature, arguments):
        return builder.select(_compare(builder, a, "<", *arguments), *arguments)

    return a(a, b), generate


@intrinsic
def where_greater(context, a, b, yes, no):
    """Lanes of `yes` where a > b, of `no` elsewhere."""

    def generate(context, builder, signature, arguments):
        return builder.select(_compare(builder, a, ">", *arguments[:2]), *arguments[2:])

    return yes(a, b, yes, no), generate


@intrinsic
def where_nan(context, a, b, yes, no):
    """Lanes of `yes` where a or b is NaN, of `no` elsewhere."""

    def generate(context, builder, signature, arguments):
        nan = builder.fcmp_unordered("uno", *arguments[:2])
        return builder.select(nan, *arguments[2:])

    return yes(a, b, yes, no), generate


def declared(builder, name, vector, count):
    """LLVM's function of so many vectors."""
    kind = ir.FunctionType(vector.llvm, [vector.llvm] * count)
    return cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.{vector.suffix}")


@intrinsic
def fma(context, a, b, c):
    """a * b + c with one rounding."""

    def generate(context, builder, signature, arguments):
        return builder.call(declared(builder, "fma", a, 3), arguments)

    return a(a, b, c), generate


@intrinsic
def nearest(context, a):
    """Nearest whole number, as floats."""

    def generate(context, builder, signature, arguments):
        return builder.call(declared(builder, "rint", a, 1), arguments)

    return a(a), generate


@intrinsic
def widened(context, a):
    """Floats as doubles."""
    result = Vector("f", 64, a.lanes)

    def generate(context, builder, signature, arguments):
        return arguments[0] if a == result else builder.fpext(arguments[0], result.llvm)

    return result(a), generate


@intrinsic
def to_integers(context, a):
    """Whole floats as integers."""
    result = Vector("i", a.bits, a.lanes)

    def generate(context, builder, signature, arguments):
        return builder.fptosi(arguments[0], result.llvm)

    return result(a), generate


def exponents(floats, integers):
    """The functions that read and write the exponents of floats, as integers of the same size."""

    @intrinsic
    def exponent(context, a):
        """Biased exponent of non-negative floats."""

        def generate(context, builder, signature, arguments):
            number = builder.bitcast(arguments[0], integers.llvm)
            return builder.lshr(number, integers.constant(floats.mantissa))

        return integers(floats), generate

    @intrinsic
    def from_exponent(context, a):
        """Floats with the given biased exponents (0 gives 0)."""

        def generate(context, builder, signature, arguments):
            shifted = builder.shl(arguments[0], integers.constant(floats.mantissa))
            return builder.bitcast(shifted, floats.llvm)

        return floats(integers), generate

    @intrinsic
    def grown(context, a, k, s, floor):
        """a * 2**k where s > floor, 0 elsewhere.

        k are whole floats plus `magic`, so that their last bits hold them; a and the product are
        normal numbers.
        """

        def generate(context, builder, signature, arguments):
            number, shift = (builder.bitcast(x, integers.llvm) for x in arguments[:2])
            shifted = builder.shl(shift, integers.constant(floats.mantissa))
            above = builder.fcmp_ordered(">", *arguments[2:])
            grown_ = builder.select(above, builder.add(number, shifted), integers.constant(0))
            return builder.bitcast(grown_, floats.llvm)

        return floats(floats, floats, floats, floats), generate

    return exponent, from_exponent, grown


@functools.cache
def native_lanes(bits: int) -> int:
    """Lanes of this processor's widest vector registers, at least 128 bits' worth."""
    features = llvmlite.binding.get_host_cpu_features()
    for feature, width in (("avx512vl", 512), ("avx2", 256)):
        if features.get(feature):
            return width // bits
    return 128 // bits
