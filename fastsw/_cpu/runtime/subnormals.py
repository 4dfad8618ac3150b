"""Kernels of scaled numbers count subnormal ones as 0, as their range checks do.

Where a product underflows gradually, Intel's processors leave the fast path for some 150 cycles,
cell by cell: posteriors far from the path are such products. So while a kernel of scaled numbers
runs, its thread flushes subnormal results, and reads subnormal numbers as 0.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Bits of the control word: of x86 flush-to-zero and denormals-are-zero, of aarch64 both in one.
_X86, _AARCH64 = 0x8040, 1 << 24

_WORD = ir.IntType(32)


def _architecture(builder) -> str:
    """What the code is made for: "x86", "aarch64", or "" for any other."""
    family = builder.module.triple.partition("-")[0]
    if family in ("x86_64", "amd64", "i686"):
        return "x86"
    return "aarch64" if family in ("aarch64", "arm64") else ""


def _x86(builder, name, place):
    """Store or load the control word at an address."""
    kind = ir.FunctionType(ir.VoidType(), [place.type])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [place])


def _word(builder):
    """The control word of the thread."""
    if _architecture(builder) == "x86":
        place = cgutils.alloca_once(builder, _WORD)
        _x86(builder, "stmxcsr", place)
        return builder.zext(builder.load(place), ir.IntType(64))
    kind = ir.FunctionType(ir.IntType(64), [])
    return builder.asm(kind, "mrs $0, fpcr", "=r", [], side_effect=True)


def _set_word(builder, word):
    """Set the control word of the thread."""
    if _architecture(builder) == "x86":
        _x86(builder, "ldmxcsr", cgutils.alloca_once_value(builder, builder.trunc(word, _WORD)))
        return
    kind = ir.FunctionType(ir.VoidType(), [word.type])
    builder.asm(kind, "msr fpcr, $0", "r", [word], side_effect=True)


@intrinsic
def flush_subnormals(context):
    """Count subnormal numbers as 0 in this thread; gives what `restore` takes."""

    def generate(context, builder, signature, arguments):
        if not _architecture(builder):
            return ir.Constant(ir.IntType(64), 0)
        word = _word(builder)
        bits = _X86 if _architecture(builder) == "x86" else _AARCH64
        _set_word(builder, builder.or_(word, ir.Constant(word.type, bits)))
        return word

    return types.int64(), generate


@intrinsic
def restore(context, word):
    """Undo `flush_subnormals`."""

    def generate(context, builder, signature, arguments):
        if _architecture(builder):
            _set_word(builder, arguments[0])
        return context.get_dummy_value()

    return types.none(types.int64), generate
