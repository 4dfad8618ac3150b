"""Vectors in memory: loads and stores, of whole vectors and of squares that are transposed.

Arrays are flat (1-D, C-contiguous), or an address (`runtime.pointers`). Masked lanes are neither
read nor written in memory.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastsw._cpu.runtime.pointers import I64, element_at
from fastsw._cpu.simd.moves import broadcast, transpose
from fastsw._cpu.simd.vectors import I1, I32, declared


def loader(vector):
    """Load a vector from an array."""

    @intrinsic
    def load(context, array, index):
        def generate(context, builder, signature, arguments):
            return _load(
                builder, vector, element_at(context, builder, array, arguments, vector.element)
            )

        return vector(array, types.intp), generate

    return load


@intrinsic
def store(context, array, index, value):
    """Store a vector to an array."""

    def generate(context, builder, signature, arguments):
        pointer = element_at(context, builder, array, arguments[:2], value.element)
        _store(builder, value, arguments[2], pointer)
        return context.get_dummy_value()

    return types.none(array, types.intp, value), generate


@intrinsic
def stream(context, array, index, value):
    """Store a vector, which must be aligned, past the caches."""

    def generate(context, builder, signature, arguments):
        pointer = element_at(context, builder, array, arguments[:2], value.element)
        instruction = _store(builder, value, arguments[2], pointer)
        instruction.align = value.alignment * value.lanes
        instruction.set_metadata("nontemporal", builder.module.add_metadata([I32(1)]))
        return context.get_dummy_value()

    return types.none(array, types.intp, value), generate


def _load(builder, vector, pointer):
    value = builder.load(builder.bitcast(pointer, vector.llvm.as_pointer()))
    value.align = vector.alignment
    return value


def _store(builder, vector, value, pointer):
    instruction = builder.store(value, builder.bitcast(pointer, vector.llvm.as_pointer()))
    instruction.align = vector.alignment
    return instruction


def _load_masked(builder, floats, pointer, mask, otherwise):
    """Load the lanes of a mask; the others are a constant."""
    kind = ir.FunctionType(
        floats.llvm, [ir.PointerType(), I32, ir.VectorType(I1, floats.lanes), floats.llvm]
    )
    function = cgutils.get_or_insert_function(
        builder.module, kind, f"llvm.masked.load.{floats.suffix}.p0"
    )
    arguments = [pointer, I32(floats.alignment), mask, floats.constant(otherwise)]
    return builder.call(function, arguments)


def _store_masked(builder, floats, value, pointer, mask):
    """Store the lanes of a mask."""
    kind = ir.FunctionType(
        ir.VoidType(), [floats.llvm, ir.PointerType(), I32, ir.VectorType(I1, floats.lanes)]
    )
    function = cgutils.get_or_insert_function(
        builder.module, kind, f"llvm.masked.store.{floats.suffix}.p0"
    )
    builder.call(function, [value, pointer, I32(floats.alignment), mask])


def _inside(builder, lanes, column, limit):
    """Mask of the lanes u with 0 <= column + u < limit."""
    kind = ir.VectorType(I32, lanes)
    steps = ir.Constant(kind, [I32(u) for u in range(lanes)])
    columns = builder.add(broadcast(builder, kind, builder.trunc(column, I32)), steps)
    limits = broadcast(builder, kind, builder.trunc(limit, I32))
    return builder.icmp_unsigned("<", columns, limits)


def _element(builder, floats, address, index=0):
    """Pointer to an element `index` after an address."""
    pointer = builder.inttoptr(address, floats.element.as_pointer())
    return builder.gep(pointer, [index if isinstance(index, ir.Value) else I64(index)])


def _columns_of_square(builder, floats, source, step):
    """The vectors of a square, `step` elements apart."""
    for u in range(floats.lanes):
        yield _load(builder, floats, _element(builder, floats, source, builder.mul(step, I64(u))))


def _finite(builder, floats, value):
    """A value, of which -inf, and what is lower than all numbers, becomes the lowest number."""
    real = np.float32 if floats.bits == 32 else np.float64
    lowest = floats.constant(-np.finfo(real).max)
    return builder.select(builder.fcmp_ordered(">", value, lowest), value, lowest)


def _multiply_add(builder, floats, a, b, c):
    return builder.call(declared(builder, "fma", floats, 3), [a, b, c])


# Skewed squares: lane r is row ``bottom - r`` of a matrix, whose first column is ``column + r``.


def _skewed_pointers(builder, floats, address, stride):
    """Per lane, where its row of a skewed square starts."""
    pointer, onward = _element(builder, floats, address), builder.sub(I64(1), stride)
    for _ in range(floats.lanes):
        yield pointer
        pointer = builder.gep(pointer, [onward])


def _skewed_masks(builder, lanes, column, bottom, rows, columns):
    """Per lane, which cells of its row lie within [0, rows) x [0, columns)."""
    for lane in range(lanes):
        row = builder.sub(bottom, I64(lane))
        limit = builder.select(builder.icmp_unsigned("<", row, rows), columns, I64(0))
        yield _inside(builder, lanes, builder.add(column, I64(lane)), limit)


def skewed_loader(floats, whole):
    """Load a skewed square, of which cells may lie outside of the matrix unless it is `whole`."""

    @intrinsic
    def load_skewed(context, source, stride, column, bottom, rows, columns, out, step):
        """Read a skewed square of a matrix and store it transposed.

        Lane r is row ``bottom - r``, whose first column is ``column + r`` and which starts at
        the address `source` for r = 0. Vector u, the lanes' u-th columns, goes to the address
        `out`, u * step elements on. Cells outside of [0, rows) x [0, columns) read as -inf.
        """

        def generate(context, builder, signature, arguments):
            pointers = _skewed_pointers(builder, floats, *arguments[:2])
            masks = None if whole else _skewed_masks(builder, floats.lanes, *arguments[2:6])
            vectors = _rows(builder, floats, pointers, masks)
            for u, vector in enumerate(transpose(builder, vectors)):
                onward = builder.mul(arguments[7], I64(u))
                _store(builder, floats, vector, _element(builder, floats, arguments[6], onward))
            return context.get_dummy_value()

        return types.none(*[types.intp] * 8), generate

    return load_skewed


def _rows(builder, floats, pointers, masks):
    """The rows of a square; -inf where a mask leaves a cell out."""
    if masks is None:
        return [_load(builder, floats, pointer) for pointer in pointers]
    return [
        _load_masked(builder, floats, pointer, mask, float("-inf"))
        for pointer, mask in zip(pointers, masks, strict=True)
    ]


def skewed_storer(floats):
    """Store a skewed square: the reverse of `skewed_loader`."""

    @intrinsic
    def store_skewed(context, source, step, target, values, stride, column, bottom, rows, columns):
        """Store a transposed skewed square back.

        Returns the lanes' sums of what is stored times `values`, an array like the target;
        where 0 is stored a value of -inf does not count.
        """

        def generate(context, builder, signature, arguments):
            vectors = _columns_of_square(builder, floats, *arguments[:2])
            pointers = _skewed_pointers(builder, floats, arguments[2], arguments[4])
            read = _skewed_pointers(builder, floats, arguments[3], arguments[4])
            masks = _skewed_masks(builder, floats.lanes, *arguments[5:])
            sums = floats.constant(0.0)
            parts = zip(transpose(builder, vectors), pointers, read, masks, strict=True)
            for vector, pointer, of_values, mask in parts:
                _store_masked(builder, floats, vector, pointer, mask)
                value = _load_masked(builder, floats, of_values, mask, 0.0)
                vector = builder.select(mask, vector, floats.constant(0.0))
                value = _finite(builder, floats, value)
                sums = _multiply_add(builder, floats, vector, value, sums)
            return sums

        return floats(*[types.intp] * 9), generate

    return store_skewed


def transposed_storer(floats):
    """Store a square transposed, whole."""

    @intrinsic
    def store_transposed(context, source, step, target, stride):
        """Store a square of vectors, `step` elements apart, transposed: rows `stride` apart."""

        def generate(context, builder, signature, arguments):
            vectors = _columns_of_square(builder, floats, *arguments[:2])
            pointer = _element(builder, floats, arguments[2])
            for vector in transpose(builder, vectors):
                _store(builder, floats, vector, pointer)
                pointer = builder.gep(pointer, [arguments[3]])
            return context.get_dummy_value()

        return types.none(*[types.intp] * 4), generate

    return store_transposed


# Squares whose rows lie anywhere: lane r is a row of a matrix of its own.


def _row_pointers(builder, floats, addresses, offset):
    """Per lane, where its row starts: an address of an int64 array, `offset` elements on."""
    first = builder.inttoptr(addresses, I64.as_pointer())
    for lane in range(floats.lanes):
        own = builder.load(builder.gep(first, [I64(lane)]))
        yield _element(builder, floats, own, offset)


def _row_masks(builder, lanes, sizes, row, column):
    """Per lane, which cells of a row from a column on it has; see `rows_loader`."""
    first = builder.inttoptr(sizes, I64.as_pointer())
    for lane in range(lanes):
        rows, columns = (
            builder.load(builder.gep(first, [I64(lane + k * lanes)])) for k in range(2)
        )
        has = builder.icmp_unsigned("<", row, rows)
        yield _inside(builder, lanes, column, builder.select(has, columns, I64(0)))


def rows_loader(floats, whole):
    """Load rows that lie anywhere, of which cells may be missing unless the square is `whole`."""

    @intrinsic
    def load_rows(context, sources, offset, sizes, row, column, out):
        """Read a square whose rows lie anywhere and store it transposed.

        Lane r reads from `offset` elements after the r-th address in an int64 array. This is a
        row and a column of a matrix whose number of rows is the r-th of `sizes`, that of its
        columns W further on. Vector u, the lanes' u-th cells, goes to the address `out`, u * W
        elements on. Cells outside of the matrix read as -inf.
        """

        def generate(context, builder, signature, arguments):
            pointers = _row_pointers(builder, floats, *arguments[:2])
            masks = None if whole else _row_masks(builder, floats.lanes, *arguments[2:5])
            vectors = _rows(builder, floats, pointers, masks)
            for u, vector in enumerate(transpose(builder, vectors)):
                target = _element(builder, floats, arguments[5], u * floats.lanes)
                _store(builder, floats, vector, target)
            return context.get_dummy_value()

        return types.none(*[types.intp] * 6), generate

    return load_rows


def rows_storer(floats, whole):
    """Store rows to wherever they lie: the reverse of `rows_loader`."""
    lanes = floats.lanes

    @intrinsic
    def store_rows(context, source, targets, values, offset, sizes, row, column, sums):
        """Store a square of vectors to rows that lie anywhere.

        What is stored, times `values` in the same cells of other rows, is added to vectors at
        the address `sums`, one a row; where 0 is stored a value of -inf does not count.
        """

        def generate(context, builder, signature, arguments):
            vectors = _columns_of_square(builder, floats, arguments[0], I64(lanes))
            to = list(_row_pointers(builder, floats, arguments[1], arguments[3]))
            read = list(_row_pointers(builder, floats, arguments[2], arguments[3]))
            masks = [None] * lanes
            if not whole:
                masks = list(_row_masks(builder, lanes, *arguments[4:7]))
            for lane, vector in enumerate(transpose(builder, vectors)):
                if whole:
                    value = _load(builder, floats, read[lane])
                    _store(builder, floats, vector, to[lane])
                else:
                    value = _load_masked(builder, floats, read[lane], masks[lane], 0.0)
                    _store_masked(builder, floats, vector, to[lane], masks[lane])
                    vector = builder.select(masks[lane], vector, floats.constant(0.0))
                value = _finite(builder, floats, value)
                pointer = _element(builder, floats, arguments[7], lane * lanes)
                before = _load(builder, floats, pointer)
                added = _multiply_add(builder, floats, vector, value, before)
                _store(builder, floats, added, pointer)
            return context.get_dummy_value()

        return types.none(*[types.intp] * 8), generate

    return store_rows


def copier(floats):
    """Copy a part of a vector."""

    @intrinsic
    def copy_first(context, count, source, target, values, sums):
        """Copy up to `lanes` elements; add their products with the values to the sums."""

        def generate(context, builder, signature, arguments):
            pointers = [
                builder.bitcast(_element(builder, floats, address), ir.PointerType())
                for address in arguments[1:4]
            ]
            mask = _inside(builder, floats.lanes, I64(0), arguments[0])
            cells = _load_masked(builder, floats, pointers[0], mask, 0.0)
            _store_masked(builder, floats, cells, pointers[1], mask)
            value = _load_masked(builder, floats, pointers[2], mask, 0.0)
            value = _finite(builder, floats, value)
            return _multiply_add(builder, floats, cells, value, arguments[4])

        return floats(*[types.intp] * 4, floats), generate

    return copy_first
