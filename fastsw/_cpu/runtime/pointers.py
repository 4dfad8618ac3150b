"""Pointers to elements of arrays, or of what lies at an address.

An address is an integer: one word to pass on instead of an array's seven. Indices count elements;
no bounds are checked.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

I64 = ir.IntType(64)


def element_at(context, builder, kind, pointer_and_index, element):
    """Pointer to an element of an array, or of what lies at an address."""
    pointer, index = pointer_and_index
    if isinstance(kind, types.Integer):
        data = builder.inttoptr(pointer, element.as_pointer())
    else:
        data = context.make_array(kind)(context, builder, pointer).data
    return builder.gep(data, [index])


@intrinsic
def address(context, array, index):
    """Where an element lies in memory."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.ptrtoint(builder.gep(data, [arguments[1]]), I64)

    return types.intp(array, types.intp), generate


@intrinsic
def put(context, pointer, index, value):
    """Set one element at an address."""

    def generate(context, builder, signature, arguments):
        target = element_at(context, builder, pointer, arguments[:2], arguments[2].type)
        builder.store(arguments[2], target)
        return context.get_dummy_value()

    return types.none(pointer, types.intp, value), generate
