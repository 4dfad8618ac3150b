"""Explicit SIMD values for Numba: LLVM vectors of floats and of integers of the same size.

LLVM does not vectorise loops over lanes whose body is a recurrence, so kernels say what is a
vector. Any number of lanes compiles on any processor; LLVM splits what is wider than a register.
Arrays are flat (1-D, C-contiguous), or an integer, the address of the first element: one word to
pass on instead of an array's seven. Indices count elements; no bounds are checked.
"""

from __future__ import annotations

import functools
import operator
from types import SimpleNamespace

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


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


@intrinsic
def fma(context, a, b, c):
    """a * b + c with one rounding."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(a.llvm, [a.llvm] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.{a.suffix}")
        return builder.call(function, arguments)

    return a(a, b, c), generate


@intrinsic
def nearest(context, a):
    """Nearest whole number, as floats."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(a.llvm, [a.llvm])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.rint.{a.suffix}")
        return builder.call(function, arguments)

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


@intrinsic
def address(context, array, index):
    """Where an element lies in memory."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.ptrtoint(builder.gep(data, [arguments[1]]), I64)

    return types.intp(array, types.intp), generate


def element_at(context, builder, kind, place_and_index, element):
    """Pointer to an element of an array, or of what lies at an address."""
    place, index = place_and_index
    if isinstance(kind, types.Integer):
        data = builder.inttoptr(place, element.as_pointer())
    else:
        data = context.make_array(kind)(context, builder, place).data
    return builder.gep(data, [index])


def _vector_at(context, builder, kind, place_and_index, vector):
    pointer = element_at(context, builder, kind, place_and_index, vector.element)
    return builder.bitcast(pointer, vector.llvm.as_pointer())


@intrinsic
def put(context, place, index, value):
    """Set one element at an address."""

    def generate(context, builder, signature, arguments):
        pointer = element_at(context, builder, place, arguments[:2], arguments[2].type)
        builder.store(arguments[2], pointer)
        return context.get_dummy_value()

    return types.none(place, types.intp, value), generate


@functools.cache
def lanes_of(bits: int, lanes: int) -> SimpleNamespace:
    """The operations that depend on the vector's size, for kernels to close over."""
    floats, integers = Vector("f", bits, lanes), Vector("i", bits, lanes)
    scalar = types.float32 if bits == 32 else types.float64
    real = np.float32 if bits == 32 else np.float64
    integer = types.int32 if bits == 32 else types.int64
    mantissa = 23 if bits == 32 else 52
    alignment = bits // 8

    def loader(vector):
        @intrinsic
        def load(context, array, index):
            def generate(context, builder, signature, arguments):
                pointer = _vector_at(context, builder, array, arguments, vector)
                value = builder.load(pointer)
                value.align = alignment
                return value

            return vector(array, types.intp), generate

        return load

    @intrinsic
    def store(context, array, index, value):
        def generate(context, builder, signature, arguments):
            pointer = _vector_at(context, builder, array, arguments[:2], value)
            builder.store(arguments[2], pointer).align = alignment
            return context.get_dummy_value()

        return types.none(array, types.intp, value), generate

    def splatter(vector, element):
        @intrinsic
        def splat(context, value):
            def generate(context, builder, signature, arguments):
                undefined = ir.Constant(vector.llvm, ir.Undefined)
                one = builder.insert_element(undefined, arguments[0], I32(0))
                zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
                return builder.shuffle_vector(one, undefined, zeros)

            return vector(element), generate

        return splat

    @intrinsic
    def exponent(context, a):
        """Biased exponent of non-negative floats."""

        def generate(context, builder, signature, arguments):
            bits_ = builder.bitcast(arguments[0], integers.llvm)
            return builder.lshr(bits_, integers.constant(mantissa))

        return integers(floats), generate

    @intrinsic
    def from_exponent(context, a):
        """Floats with the given biased exponents (0 gives 0)."""

        def generate(context, builder, signature, arguments):
            shifted = builder.shl(arguments[0], integers.constant(mantissa))
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
            shifted = builder.shl(shift, integers.constant(mantissa))
            above = builder.fcmp_ordered(">", *arguments[2:])
            total_ = builder.select(above, builder.add(number, shifted), integers.constant(0))
            return builder.bitcast(total_, floats.llvm)

        return floats(floats, floats, floats, floats), generate

    def shuffler(mask):
        @intrinsic
        def shuffle(context, a, b):
            def generate(context, builder, signature, arguments):
                return builder.shuffle_vector(
                    *arguments, ir.Constant(ir.VectorType(I32, lanes), list(mask))
                )

            return a(a, b), generate

        return shuffle

    def entering(mask):
        @intrinsic
        def enter(context, a, array, index):
            """The lanes moved on by one; the free lane takes array[index]."""

            def generate(context, builder, signature, arguments):
                pointer = element_at(context, builder, array, arguments[1:], a.element)
                element = builder.load(pointer)
                undefined = ir.Constant(a.llvm, ir.Undefined)
                one = builder.insert_element(undefined, element, I32(0))
                places = ir.VectorType(I32, lanes)
                spread = builder.shuffle_vector(one, undefined, ir.Constant(places, [0] * lanes))
                return builder.shuffle_vector(arguments[0], spread, ir.Constant(places, list(mask)))

            return a(a, array, types.intp), generate

        return enter

    def above(distance):
        return range(distance, lanes + distance)

    def below(distance):
        return [*range(2 * lanes - distance, 2 * lanes), *range(lanes - distance)]

    def leaving(lane, count=1):
        @intrinsic
        def leave(context, array, index, a):
            """Store one lane at array[index], and at the places after it, `count` in all."""

            def generate(context, builder, signature, arguments):
                run = ir.VectorType(a.element, count)
                pointer = element_at(context, builder, array, arguments[:2], a.element)
                pointer = builder.bitcast(pointer, run.as_pointer())
                places = ir.Constant(ir.VectorType(I32, count), [lane] * count)
                value = builder.shuffle_vector(arguments[2], arguments[2], places)
                builder.store(value, pointer).align = alignment
                return context.get_dummy_value()

            return types.none(array, types.intp, a), generate

        return leave

    @intrinsic
    def total(context, a):
        """Sum of all lanes, as float64."""

        def generate(context, builder, signature, arguments):
            value = ir.Constant(ir.DoubleType(), 0.0)
            for lane in range(lanes):
                part = builder.extract_element(arguments[0], I32(lane))
                if bits == 32:
                    part = builder.fpext(part, ir.DoubleType())
                value = builder.fadd(value, part)
            return value

        return types.float64(floats), generate

    def inside(builder, column, limit):
        """Mask of the lanes u with 0 <= column + u < limit."""
        vector = ir.VectorType(I32, lanes)
        zeros = ir.Constant(vector, [0] * lanes)
        undefined = ir.Constant(vector, ir.Undefined)

        def spread(value):
            one = builder.insert_element(undefined, builder.trunc(value, I32), I32(0))
            return builder.shuffle_vector(one, undefined, zeros)

        steps = ir.Constant(vector, [I32(u) for u in range(lanes)])
        return builder.icmp_unsigned("<", builder.add(spread(column), steps), spread(limit))

    def row_limits(builder, bottom, rows, columns, lane):
        """Columns that lane `lane` (row bottom - lane) may touch: all or none."""
        row = builder.sub(bottom, I64(lane))
        return builder.select(builder.icmp_unsigned("<", row, rows), columns, I64(0))

    def masked_load(builder, pointer, mask, otherwise):
        """Load the lanes of a mask; the others are a constant, and their memory is not touched."""
        kind = ir.FunctionType(
            floats.llvm, [ir.PointerType(), I32, ir.VectorType(I1, lanes), floats.llvm]
        )
        function = cgutils.get_or_insert_function(
            builder.module, kind, f"llvm.masked.load.{floats.suffix}.p0"
        )
        arguments = [pointer, I32(alignment), mask, floats.constant(otherwise)]
        return builder.call(function, arguments)

    def masked_store(builder, value, pointer, mask):
        """Store the lanes of a mask."""
        kind = ir.FunctionType(
            ir.VoidType(), [floats.llvm, ir.PointerType(), I32, ir.VectorType(I1, lanes)]
        )
        function = cgutils.get_or_insert_function(
            builder.module, kind, f"llvm.masked.store.{floats.suffix}.p0"
        )
        builder.call(function, [value, pointer, I32(alignment), mask])

    def fused(builder):
        """LLVM's fused multiplication and addition."""
        kind = ir.FunctionType(floats.llvm, [floats.llvm] * 3)
        return cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.{floats.suffix}")

    def transpose(builder, rows):
        """Transposed square of vectors, by butterflies."""
        rows = list(rows)
        distance = 1
        while distance < lanes:
            low = [u if not u & distance else u - distance + lanes for u in range(lanes)]
            high = [u + distance if not u & distance else u + lanes for u in range(lanes)]
            masks = [ir.Constant(ir.VectorType(I32, lanes), m) for m in (low, high)]
            for u in range(lanes):
                if not u & distance:
                    a, b = rows[u], rows[u + distance]
                    rows[u] = builder.shuffle_vector(a, b, masks[0])
                    rows[u + distance] = builder.shuffle_vector(a, b, masks[1])
            distance *= 2
        return rows

    def row_masks(builder, column, bottom, rows, columns):
        """Per lane, which cells of its row lie within [0, rows) x [0, columns)."""
        for lane in range(lanes):
            limit = row_limits(builder, bottom, rows, columns, lane)
            yield inside(builder, builder.add(column, I64(lane)), limit)

    def element(builder, place, index=0):
        """Pointer to an element `index` after an address."""
        pointer = builder.inttoptr(place, floats.element.as_pointer())
        return builder.gep(pointer, [index if isinstance(index, ir.Value) else I64(index)])

    def row_pointers(builder, place, stride):
        """Per lane, where its row of a skewed square starts."""
        pointer, onward = element(builder, place), builder.sub(I64(1), stride)
        for _ in range(lanes):
            yield pointer
            pointer = builder.gep(pointer, [onward])

    def load_from(builder, pointer):
        value = builder.load(builder.bitcast(pointer, floats.llvm.as_pointer()))
        value.align = alignment
        return value

    def store_to(builder, value, pointer):
        target = builder.bitcast(pointer, floats.llvm.as_pointer())
        builder.store(value, target).align = alignment

    def skewed_loader(whole):
        @intrinsic
        def load_skewed(context, source, stride, column, bottom, rows, columns, out, step):
            """Read a skewed square of a matrix and store it transposed.

            Lane r is row ``bottom - r``, whose first column is ``column + r`` and which starts at
            the address `source` for r = 0. Vector u, the lanes' u-th columns, goes to the address
            `out`, u * step elements on. Cells outside of [0, rows) x [0, columns) read as -inf and
            are not touched; there are none where the square is `whole`.
            """

            def generate(context, builder, signature, arguments):
                pointers = row_pointers(builder, *arguments[:2])
                if whole:
                    vectors = [load_from(builder, pointer) for pointer in pointers]
                else:
                    masks = row_masks(builder, *arguments[2:6])
                    vectors = [
                        masked_load(builder, pointer, mask, float("-inf"))
                        for pointer, mask in zip(pointers, masks, strict=True)
                    ]
                for u, vector in enumerate(transpose(builder, vectors)):
                    onward = builder.mul(arguments[7], I64(u))
                    store_to(builder, vector, element(builder, arguments[6], onward))
                return context.get_dummy_value()

            return types.none(*[types.intp] * 8), generate

        return load_skewed

    def columns_of_square(builder, source, step):
        """The vectors of a square, `step` elements apart."""
        for u in range(lanes):
            yield load_from(builder, element(builder, source, builder.mul(step, I64(u))))

    @intrinsic
    def store_skewed(context, source, step, target, values, stride, column, bottom, rows, columns):
        """Store a transposed skewed square back: the reverse of `skewed_loader`'s.

        Returns the lanes' sums of what is stored times `values`, an array like the target;
        where 0 is stored a value of -inf does not count.
        """

        def generate(context, builder, signature, arguments):
            vectors = columns_of_square(builder, *arguments[:2])
            pointers = row_pointers(builder, arguments[2], arguments[4])
            read = row_pointers(builder, arguments[3], arguments[4])
            masks = row_masks(builder, *arguments[5:])
            lowest, sums = floats.constant(-np.finfo(real).max), floats.constant(0.0)
            parts = zip(transpose(builder, vectors), pointers, read, masks, strict=True)
            for vector, pointer, values_, mask in parts:
                masked_store(builder, vector, pointer, mask)
                value = masked_load(builder, values_, mask, 0.0)
                vector = builder.select(mask, vector, floats.constant(0.0))
                finite = builder.fcmp_ordered(">", value, lowest)
                value = builder.select(finite, value, lowest)
                sums = builder.call(fused(builder), [vector, value, sums])
            return sums

        return floats(*[types.intp] * 9), generate

    @intrinsic
    def store_transposed(context, source, step, target, stride):
        """Store a square of vectors, `step` elements apart, transposed: rows `stride` apart."""

        def generate(context, builder, signature, arguments):
            vectors = columns_of_square(builder, *arguments[:2])
            pointer = element(builder, arguments[2])
            for vector in transpose(builder, vectors):
                store_to(builder, vector, pointer)
                pointer = builder.gep(pointer, [arguments[3]])
            return context.get_dummy_value()

        return types.none(*[types.intp] * 4), generate

    def places_of_rows(builder, places, offset):
        """Per lane, where its row starts: an address of an int64 array, `offset` elements on."""
        first = builder.inttoptr(places, I64.as_pointer())
        for lane in range(lanes):
            yield element(builder, builder.load(builder.gep(first, [I64(lane)])), offset)

    def masks_of_rows(builder, sizes, row, column):
        """Per lane, which cells of a row from a column on it has; see `rows_loader`."""
        first = builder.inttoptr(sizes, I64.as_pointer())
        for lane in range(lanes):
            rows, columns = (
                builder.load(builder.gep(first, [I64(lane + k * lanes)])) for k in range(2)
            )
            has = builder.icmp_unsigned("<", row, rows)
            yield inside(builder, column, builder.select(has, columns, I64(0)))

    def rows_loader(whole):
        @intrinsic
        def load_rows(context, sources, offset, sizes, row, column, out):
            """Read a square whose rows lie anywhere and store it transposed.

            Lane r reads from `offset` elements after the r-th address in an int64 array. This is a
            row and a column of a matrix whose number of rows is the r-th of `sizes`, that of its
            columns W further on. Vector u, the lanes' u-th cells, goes to the address `out`, u * W
            elements on. Cells outside of the matrix read as -inf and are not touched; there are
            none where the square is `whole`.
            """

            def generate(context, builder, signature, arguments):
                pointers = places_of_rows(builder, *arguments[:2])
                if whole:
                    vectors = [load_from(builder, pointer) for pointer in pointers]
                else:
                    masks = masks_of_rows(builder, *arguments[2:5])
                    vectors = [
                        masked_load(builder, pointer, mask, float("-inf"))
                        for pointer, mask in zip(pointers, masks, strict=True)
                    ]
                for u, vector in enumerate(transpose(builder, vectors)):
                    store_to(builder, vector, element(builder, arguments[5], u * lanes))
                return context.get_dummy_value()

            return types.none(*[types.intp] * 6), generate

        return load_rows

    def rows_storer(whole):
        @intrinsic
        def store_rows(context, source, targets, values, offset, sizes, row, column, sums):
            """Store a square of vectors to rows that lie anywhere: the reverse of `rows_loader`'s.

            What is stored, times `values` at the same places of other rows, is added to vectors at
            the address `sums`, one a row; where 0 is stored a value of -inf does not count.
            """

            def generate(context, builder, signature, arguments):
                vectors = columns_of_square(builder, arguments[0], I64(lanes))
                to = list(places_of_rows(builder, arguments[1], arguments[3]))
                read = list(places_of_rows(builder, arguments[2], arguments[3]))
                masks = [None] * lanes
                if not whole:
                    masks = list(masks_of_rows(builder, *arguments[4:7]))
                lowest, zeros = floats.constant(-np.finfo(real).max), floats.constant(0.0)
                for lane, vector in enumerate(transpose(builder, vectors)):
                    if whole:
                        value = load_from(builder, read[lane])
                        store_to(builder, vector, to[lane])
                    else:
                        value = masked_load(builder, read[lane], masks[lane], 0.0)
                        masked_store(builder, vector, to[lane], masks[lane])
                        vector = builder.select(masks[lane], vector, zeros)
                    finite = builder.fcmp_ordered(">", value, lowest)
                    value = builder.select(finite, value, lowest)
                    place = element(builder, arguments[7], lane * lanes)
                    added = builder.call(fused(builder), [vector, value, load_from(builder, place)])
                    store_to(builder, added, place)
                return context.get_dummy_value()

            return types.none(*[types.intp] * 8), generate

        return store_rows

    @intrinsic
    def copy_first(context, count, source, target, values, sums):
        """Copy up to `lanes` elements; add their products with the values to the sums."""

        def generate(context, builder, signature, arguments):
            pointers = [
                builder.bitcast(element(builder, place), ir.PointerType())
                for place in arguments[1:4]
            ]
            mask = inside(builder, I64(0), arguments[0])
            cells = masked_load(builder, pointers[0], mask, 0.0)
            masked_store(builder, cells, pointers[1], mask)
            value, lowest = masked_load(builder, pointers[2], mask, 0.0), -np.finfo(real).max
            above = builder.fcmp_ordered(">", value, floats.constant(lowest))
            value = builder.select(above, value, floats.constant(lowest))
            return builder.call(fused(builder), [cells, value, arguments[4]])

        return floats(*[types.intp] * 4, floats), generate

    @intrinsic
    def stream(context, array, index, value):
        """Store a vector, which must be aligned, past the caches."""

        def generate(context, builder, signature, arguments):
            pointer = _vector_at(context, builder, array, arguments[:2], value)
            instruction = builder.store(arguments[2], pointer)
            instruction.align = alignment * lanes
            instruction.set_metadata("nontemporal", builder.module.add_metadata([I32(1)]))
            return context.get_dummy_value()

        return types.none(array, types.intp, value), generate

    return SimpleNamespace(
        lanes=lanes,
        mantissa=mantissa,
        bias=127 if bits == 32 else 1023,
        magic=1.5 * 2.0**mantissa,  # the sum with a whole number has it in its last bits
        grown=grown,
        load_f=loader(floats),
        load_i=loader(integers),
        store=store,
        stream=stream,
        store_transposed=store_transposed,
        copy_first=copy_first,
        splat_f=splatter(floats, scalar),
        splat_i=splatter(integers, integer),
        exponent=exponent,
        from_exponent=from_exponent,
        # Each lane takes the one above (r + 1), the last lane an array element.
        from_above=entering(above(1)),
        # Each lane takes the one below (r - 1), the first lane an array element.
        from_below=entering(below(1)),
        # The same from the first lanes, or the last, of another vector, any number of lanes on.
        shift_down=lambda distance: shuffler(above(distance)),
        shift_up=lambda distance: shuffler(below(distance)),
        # Each lane takes its neighbour; that without one takes its own of another vector.
        neighbour_above=shuffler([*range(1, lanes), 2 * lanes - 1]),
        neighbour_below=shuffler([lanes, *range(lanes - 1)]),
        first_everywhere=shuffler([0] * lanes),
        last_everywhere=shuffler([lanes - 1] * lanes),
        store_first=leaving(0),
        store_last=leaving(lanes - 1),
        fill_first=lambda count: leaving(0, count),
        fill_last=lambda count: leaving(lanes - 1, count),
        total=total,
        load_skewed=skewed_loader(False),
        load_whole=skewed_loader(True),
        store_skewed=store_skewed,
        load_rows=rows_loader(False),
        load_whole_rows=rows_loader(True),
        store_rows=rows_storer(False),
        store_whole_rows=rows_storer(True),
    )


@functools.cache
def native_lanes(bits: int) -> int:
    """Lanes of this processor's widest vector registers, at least 128 bits' worth."""
    features = llvmlite.binding.get_host_cpu_features()
    for feature, width in (("avx512vl", 512), ("avx2", 256)):
        if features.get(feature):
            return width // bits
    return 128 // bits
