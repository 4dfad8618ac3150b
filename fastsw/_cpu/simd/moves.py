"""Moving the lanes of vectors: to other lanes, into and out of memory one by one, and to a sum."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastsw._cpu.runtime.pointers import element_at
from fastsw._cpu.simd.vectors import I32


def mask_of(lanes):
    """LLVM constant of lane numbers, as shuffles take them."""
    lanes = list(lanes)
    return ir.Constant(ir.VectorType(I32, len(lanes)), lanes)


def broadcast(builder, kind, value):
    """A value in all lanes of a vector of an LLVM type."""
    undefined = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(undefined, value, I32(0))
    return builder.shuffle_vector(one, undefined, mask_of([0] * kind.count))


def above(lanes, distance):
    """Each lane's neighbour so many lanes above; the last ones take those of a second vector."""
    return range(distance, lanes + distance)


def below(lanes, distance):
    """Each lane's neighbour so many lanes below; the first ones take those of a second vector."""
    return [*range(2 * lanes - distance, 2 * lanes), *range(lanes - distance)]


def splatter(vector, element):
    """The same value in all lanes."""

    @intrinsic
    def splat(context, value):
        def generate(context, builder, signature, arguments):
            return broadcast(builder, vector.llvm, arguments[0])

        return vector(element), generate

    return splat


def shuffler(lanes):
    """Lanes of two vectors, those of the second one counted on."""

    @intrinsic
    def shuffle(context, a, b):
        def generate(context, builder, signature, arguments):
            return builder.shuffle_vector(*arguments, mask_of(lanes))

        return a(a, b), generate

    return shuffle


def enterer(lanes):
    """Lanes of a vector, and beyond them an array element."""

    @intrinsic
    def enter(context, a, array, index):
        """The lanes moved on by one; the free lane takes array[index]."""

        def generate(context, builder, signature, arguments):
            pointer = element_at(context, builder, array, arguments[1:], a.element)
            element = broadcast(builder, a.llvm, builder.load(pointer))
            return builder.shuffle_vector(arguments[0], element, mask_of(lanes))

        return a(a, array, types.intp), generate

    return enter


def leaver(lane, count=1):
    """One lane to memory, `count` times."""

    @intrinsic
    def leave(context, array, index, a):
        """Store one lane at array[index], and at the elements after it, `count` in all."""

        def generate(context, builder, signature, arguments):
            run = ir.VectorType(a.element, count)
            pointer = element_at(context, builder, array, arguments[:2], a.element)
            pointer = builder.bitcast(pointer, run.as_pointer())
            value = builder.shuffle_vector(arguments[2], arguments[2], mask_of([lane] * count))
            builder.store(value, pointer).align = a.alignment
            return context.get_dummy_value()

        return types.none(array, types.intp, a), generate

    return leave


@intrinsic
def total(context, a):
    """Sum of all lanes of floats, as float64."""

    def generate(context, builder, signature, arguments):
        value = ir.Constant(ir.DoubleType(), 0.0)
        for lane in range(a.lanes):
            part = builder.extract_element(arguments[0], I32(lane))
            if a.bits == 32:
                part = builder.fpext(part, ir.DoubleType())
            value = builder.fadd(value, part)
        return value

    return types.float64(a), generate


def transpose(builder, rows):
    """Transposed square of vectors, by butterflies."""
    rows = list(rows)
    lanes = len(rows)
    distance = 1
    while distance < lanes:
        low = [u if not u & distance else u - distance + lanes for u in range(lanes)]
        high = [u + distance if not u & distance else u + lanes for u in range(lanes)]
        for u in range(lanes):
            if not u & distance:
                a, b = rows[u], rows[u + distance]
                rows[u] = builder.shuffle_vector(a, b, mask_of(low))
                rows[u + distance] = builder.shuffle_vector(a, b, mask_of(high))
        distance *= 2
    return rows
