"""What kernels need of the machine, each with a sibling for Numba's CUDA simulator.

On a device: bit casts, warp shuffles, and memory order between warps. The simulator has none of
them; there a block is a single warp of `LANES` threads, so that values are exchanged through shared
memory between two barriers, and everything that a block's predecessors wrote is visible.
"""

import numpy as np
from numba import cuda
from numba.cuda.core import config

__all__ = [
    "LANES",
    "SIMULATED",
    "back_off",
    "bits_of_double",
    "bits_of_float",
    "device",
    "double_of_bits",
    "exit_kernel",
    "exp2_double",
    "exp2_float",
    "fetch_add",
    "float_of_bits",
    "fma_double",
    "fma_float",
    "from_above",
    "from_below",
    "from_lane",
    "increment_release",
    "larger",
    "larger_or_nan",
    "load_acquire",
    "load_four",
    "load_relaxed",
    "noinline",
    "opaque",
    "round_double",
    "round_float",
    "store_four",
    "store_release",
    "sync",
]

SIMULATED = bool(config.ENABLE_CUDASIM)

#: Threads of a warp, which are the rows of a strip.
LANES = 4 if SIMULATED else 32

if SIMULATED:

    def device(function):
        """Leave a function that kernels call as it is."""
        return function

    noinline = device

    def opaque(value):
        """The value, of which the compiler does not know that it is the same every time."""
        return value

    def exit_kernel():
        """End the kernel; here its last function returns."""

    def bits_of_float(value):
        """Bits of a float32 as an int32."""
        return np.float32(value).view(np.int32)

    def float_of_bits(bits):
        """Float32 of an int32's bits."""
        return np.int32(bits).view(np.float32)

    def bits_of_double(value):
        """Bits of a float64 as an int64."""
        return np.float64(value).view(np.int64)

    def double_of_bits(bits):
        """Float64 of an int64's bits."""
        return np.int64(bits).view(np.float64)

    def larger(a, b):
        """The larger of two float32."""
        return np.fmax(a, b)

    def larger_or_nan(a, b):
        """The larger of two float32, NaN where one is."""
        return np.maximum(a, b)

    def load_four(array, place):
        """Four float32 that begin at a multiple of 16 bytes."""
        return array[place], array[place + 1], array[place + 2], array[place + 3]

    def store_four(array, place, values):
        """Write four float32 that begin at a multiple of 16 bytes."""
        array[place : place + 4] = values

    def exp2_float(value):
        """2 ** value in float32."""
        return np.exp2(np.float32(value))

    def exp2_double(value):
        """2 ** value in float64."""
        return np.exp2(np.float64(value))

    def round_float(value):
        """Nearest int32 of a float32, the last one where it is beyond."""
        return np.int32(min(max(np.rint(np.float64(value)), -(2.0**31)), 2.0**31 - 1))

    def round_double(value):
        """Nearest whole number of a float64."""
        return np.rint(np.float64(value))

    def fma_float(a, b, c):
        """a * b + c, rounded once."""
        with np.errstate(invalid="ignore"):
            return np.float32(np.float64(a) * np.float64(b) + np.float64(c))

    def fma_double(a, b, c):
        """a * b + c, rounded nearly once."""
        with np.errstate(invalid="ignore"):
            return np.float64(np.longdouble(a) * np.longdouble(b) + np.longdouble(c))

    def fetch_add(counters, index, value):
        """Add to a counter; its value before."""
        before = counters[index]
        counters[index] = before + value
        return before

    def increment_release(counters, index):
        """Count one more, after all that precedes."""
        counters[index] += 1

    def load_acquire(flags, index):
        """Read a flag before all that follows."""
        return flags[index]

    def load_relaxed(flags, index):
        """Read a flag, without any order."""
        return flags[index]

    def store_release(flags, index, value):
        """Write a flag after all that precedes."""
        flags[index] = value

    def back_off():
        """Wait a little before a flag is read again; strips of the simulator never wait."""
        raise AssertionError("a strip waits for one that was not taken before it")

    @cuda.jit(device=True)
    def sync():
        """Let every lane see what the others wrote."""
        cuda.syncthreads()

    @cuda.jit(device=True)
    def _through_shared_memory(value, lane, source):
        """Value of the lane `source`."""
        slots = cuda.shared.array(32, np.float64)
        slots[lane] = value
        cuda.syncthreads()
        found = type(value)(slots[source])
        cuda.syncthreads()
        return found

    def from_above(value, lane):
        """Value of the lane before, and of the first lane itself."""
        return _through_shared_memory(value, lane, max(lane - 1, 0))

    def from_below(value, lane):
        """Value of the lane after, and of the last lane itself."""
        return _through_shared_memory(value, lane, min(lane + 1, LANES - 1))

    def from_lane(value, lane, source):
        """Value of the lane `source`."""
        return _through_shared_memory(value, lane, source)

else:
    from llvmlite import ir
    from numba.cuda import libdevice
    from numba.cuda.extending import intrinsic
    from numba.cuda.types import CPointer, UniTuple, float32, int32, int64, none

    ALL = 0xFFFFFFFF

    def device(function):
        """Make a function one that kernels call, expanded in its caller."""
        return cuda.jit(device=True, forceinline=True)(function)

    @intrinsic
    def exp2_float(typing_context, value):
        """2 ** value in float32, by the instruction alone: values are not far from 0."""

        def generate(context, builder, signature, arguments):
            kind = ir.FunctionType(ir.FloatType(), [ir.FloatType()])
            code = ir.InlineAsm(kind, "ex2.approx.ftz.f32 $0, $1;", "=f,f")
            return builder.call(code, arguments)

        return float32(float32), generate

    @intrinsic
    def _stay(typing_context):
        """Keep the function that calls this one out of its callers."""

        def generate(context, builder, signature, arguments):
            builder.function.attributes.add("noinline")
            return context.get_dummy_value()

        return none(), generate

    def noinline(function):
        """Make a function one that kernels call, with registers of its own."""
        inner = device(function)

        @cuda.jit(device=True)
        def outer(*arguments):
            _stay()
            return inner(*arguments)

        return outer

    @intrinsic
    def exit_kernel(typing_context):
        """End the kernel.

        A function that never returns need not remember where its result goes.
        """

        def generate(context, builder, signature, arguments):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(ir.InlineAsm(kind, "exit;", "", side_effect=True), [])
            builder.unreachable()
            builder.position_at_end(builder.append_basic_block("after"))
            return context.get_dummy_value()

        return none(), generate

    @intrinsic
    def opaque(typing_context, value):
        """The integer, of which the compiler does not know that it is the same every time.

        What is computed from it is then computed where it is needed, rather than once before a
        loop, to be kept in a register all along.
        """

        def generate(context, builder, signature, arguments):
            kind, register = arguments[0].type, "l" if value.bitwidth == 64 else "r"
            text = f"mov.b{value.bitwidth} $0, $1;"
            constraints = f"={register},{register}"
            code = ir.InlineAsm(ir.FunctionType(kind, [kind]), text, constraints, side_effect=True)
            return builder.call(code, arguments)

        return value(value), generate

    @intrinsic
    def larger_or_nan(typing_context, a, b):
        """The larger of two float32, NaN where one is."""

        def generate(context, builder, signature, arguments):
            kind = ir.FunctionType(ir.FloatType(), [ir.FloatType()] * 2)
            code = ir.InlineAsm(kind, "max.NaN.f32 $0, $1, $2;", "=f,f,f")
            return builder.call(code, arguments)

        return float32(float32, float32), generate

    @intrinsic
    def load_four(typing_context, array, place):
        """Four float32 that begin at a multiple of 16 bytes, in one instruction."""

        def generate(context, builder, signature, arguments):
            address = builder.gep(arguments[0], [arguments[1]])
            four = ir.LiteralStructType([ir.FloatType()] * 4)
            text = "ld.global.v4.f32 {$0, $1, $2, $3}, [$4];"
            found = _assembly(builder, text, "=f,=f,=f,=f,l", four, [address])
            values = [builder.extract_value(found, i) for i in range(4)]
            return context.make_tuple(builder, signature.return_type, values)

        return UniTuple(float32, 4)(CPointer(float32), int64), generate

    @intrinsic
    def store_four(typing_context, array, place, values):
        """Write four float32 that begin at a multiple of 16 bytes, in one instruction."""

        def generate(context, builder, signature, arguments):
            address = builder.gep(arguments[0], [arguments[1]])
            four = [builder.extract_value(arguments[2], i) for i in range(4)]
            text = "st.global.v4.f32 [$0], {$1, $2, $3, $4};"
            _assembly(builder, text, "l,f,f,f,f", ir.VoidType(), [address, *four])
            return context.get_dummy_value()

        return none(CPointer(float32), int64, UniTuple(float32, 4)), generate

    larger = libdevice.fmaxf
    bits_of_float = libdevice.float_as_int
    float_of_bits = libdevice.int_as_float
    bits_of_double = libdevice.double_as_longlong
    double_of_bits = libdevice.longlong_as_double
    exp2_double = libdevice.exp2
    round_float = libdevice.float2int_rn
    round_double = libdevice.rint
    fma_float = libdevice.fmaf_rn
    fma_double = libdevice.fma_rn

    @intrinsic
    def fetch_add(typing_context, counters, index, value):
        """Add to a counter; its value before."""

        def generate(context, builder, signature, arguments):
            pointer, at, added = arguments
            return builder.atomic_rmw("add", builder.gep(pointer, [at]), added, "monotonic")

        return int32(CPointer(int32), int64, int32), generate

    def _assembly(builder, text, constraints, result, arguments):
        """Call of one instruction that nothing is moved across."""
        kind = ir.FunctionType(result, [a.type for a in arguments])
        code = ir.InlineAsm(kind, text, f"{constraints},~{{memory}}", side_effect=True)
        return builder.call(code, arguments)

    @intrinsic
    def increment_release(typing_context, counters, index):
        """Count one more, after all that precedes."""

        def generate(context, builder, signature, arguments):
            address = builder.gep(arguments[0], [arguments[1]])
            text = "red.release.gpu.global.add.u32 [$0], 1;"
            _assembly(builder, text, "l", ir.VoidType(), [address])
            return context.get_dummy_value()

        return none(CPointer(int32), int64), generate

    def _load(order):
        """Give the function that reads a flag, before all that follows or without any order."""

        @intrinsic
        def load(typing_context, flags, index):
            def generate(context, builder, signature, arguments):
                address = builder.gep(arguments[0], [arguments[1]])
                text = f"ld.{order}.gpu.global.u32 $0, [$1];"
                return _assembly(builder, text, "=r,l", ir.IntType(32), [address])

            return int32(CPointer(int32), int64), generate

        return load

    load_acquire, load_relaxed = _load("acquire"), _load("relaxed")

    @intrinsic
    def store_release(typing_context, flags, index, value):
        """Write a flag after all that precedes."""

        def generate(context, builder, signature, arguments):
            address = builder.gep(arguments[0], [arguments[1]])
            _assembly(
                builder,
                "st.release.gpu.global.u32 [$0], $1;",
                "l,r",
                ir.VoidType(),
                [address, arguments[2]],
            )
            return context.get_dummy_value()

        return none(CPointer(int32), int64, int32), generate

    @device
    def back_off():
        """Wait a little before a flag is read again."""
        cuda.nanosleep(np.uint32(64))

    @device
    def sync():
        """Let every lane see what the others wrote."""
        cuda.syncwarp()

    @device
    def from_above(value, lane):
        """Value of the lane before, and of the first lane itself."""
        return cuda.shfl_up_sync(ALL, value, 1)

    @device
    def from_below(value, lane):
        """Value of the lane after, and of the last lane itself."""
        return cuda.shfl_down_sync(ALL, value, 1)

    @device
    def from_lane(value, lane, source):
        """Value of the lane `source`."""
        return cuda.shfl_sync(ALL, value, source)
