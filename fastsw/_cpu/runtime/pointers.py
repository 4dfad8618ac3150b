"""Pointers to elements of arrays, or of what lies at an address; records of arrays.

An address is an integer: one word to pass on instead of an array's seven. Indices count elements;
no bounds are checked.
"""

from __future__ import annotations

import collections
import functools
import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.types.containers import NamedTuple, NamedUniTuple, StarArgTuple
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


@functools.cache
def _record(*names):
    """A named tuple's class."""
    return collections.namedtuple("Addresses", names)


@intrinsic
def addresses_of(context, *records):
    """Where all arrays of some named tuples lie, by their names."""
    arrays = [kind for record in records for kind in record.types]
    names = [name for record in records for name in record.instance_class._fields]
    made = NamedUniTuple(types.intp, len(names), _record(*names))

    def generate(context, builder, signature, arguments):
        packed = [
            array
            for record in cgutils.unpack_tuple(builder, arguments[0])
            for array in cgutils.unpack_tuple(builder, record)
        ]
        data = [
            builder.ptrtoint(context.make_array(kind)(context, builder, array).data, I64)
            for kind, array in zip(arrays, packed, strict=True)
        ]
        return context.make_tuple(builder, made, data)

    return made(StarArgTuple.from_types(records)), generate


@intrinsic
def of_thread(context, record, thread):
    """A named tuple of the rows that a thread has of another's arrays."""
    rows = [context.resolve_function_type(operator.getitem, (a, thread), {}) for a in record]
    made = NamedTuple([row.return_type for row in rows], record.instance_class)

    def generate(context, builder, signature, arguments):
        arrays = cgutils.unpack_tuple(builder, arguments[0])
        found = [
            context.get_function(operator.getitem, row)(builder, (array, arguments[1]))
            for row, array in zip(rows, arrays, strict=True)
        ]
        return context.make_tuple(builder, made, found)

    return made(record, thread), generate


@intrinsic
def put(context, pointer, index, value):
    """Set one element at an address."""

    def generate(context, builder, signature, arguments):
        target = element_at(context, builder, pointer, arguments[:2], arguments[2].type)
        builder.store(arguments[2], target)
        return context.get_dummy_value()

    return types.none(pointer, types.intp, value), generate
