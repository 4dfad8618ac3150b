"""Kernels that several threads run together, handed off without the interpreter.

The thread that calls a kernel leaves in a mailbox where the kernel and its arguments lie, and how
many more threads may run it. Workers that spin there (`thread_pool`) each take an index and run the
same kernel, which shares its work out by a counter. When the caller has found no more work it
withdraws the indices that are left, and waits for those who took one. Only one call at a time can
have the mailbox; others run alone.

Arguments stay on the caller's stack, so a hand-off takes no longer than a few cache misses, where
waking a Python thread takes some 30 microseconds.
"""

from __future__ import annotations

import os

from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from fastsw._cache import digest_of
from fastsw._cpu.runtime.parts import callable_in_kernels, declare_part
from fastsw._cpu.runtime.pointers import I64, element_at

#: Lets other threads run; a C function of the operating system.
give_way = types.ExternalFunction(
    "SwitchToThread" if os.name == "nt" else "sched_yield", types.int32()
)

# The mailbox: words that lie in cache lines of their own. HELD: whether a call has it. THREADS: how
# many more may run the kernel, plus TAKEN for each that does. FAILED: whether one of them ran out
# of memory. SPINNING: workers that look into it. EXPECTED: whether a kernel is about to be offered,
# so that nobody who was counted may leave. CLOSED: whether all shall leave.
HELD, THREADS, FUNCTION, ARGUMENTS, FAILED, SPINNING, EXPECTED, CLOSED = range(0, 64, 8)
MAILBOX_WORDS = 64
TAKEN = 2**32


@intrinsic
def read_shared(context, array, index):
    """Element of an int64 array that another thread may be writing (acquire)."""

    def generate(context, builder, signature, arguments):
        pointer = element_at(context, builder, array, arguments, I64)
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(array, types.intp), generate


@intrinsic
def write_shared(context, array, index, value):
    """Set an element of an int64 array that other threads read (release)."""

    def generate(context, builder, signature, arguments):
        pointer = element_at(context, builder, array, arguments[:2], I64)
        builder.store_atomic(arguments[2], pointer, "release", 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, types.int64), generate


@intrinsic
def add_shared(context, array, index, amount):
    """Add to an element of an int64 array, atomically; gives what it was before."""

    def generate(context, builder, signature, arguments):
        pointer = element_at(context, builder, array, arguments[:2], I64)
        return builder.atomic_rmw("add", pointer, arguments[2], "acq_rel")

    return types.int64(array, types.intp, types.int64), generate


@intrinsic
def swap_shared(context, array, index, old, new):
    """Set an element of an int64 array if it still is `old`, atomically; whether it was."""

    def generate(context, builder, signature, arguments):
        pointer = element_at(context, builder, array, arguments[:2], I64)
        swapped = builder.cmpxchg(pointer, *arguments[2:], "acq_rel", "acquire")
        return builder.extract_value(swapped, 1)

    return types.boolean(array, types.intp, types.int64, types.int64), generate


@intrinsic
def fence(context):
    """Let other threads see what was stored before, stores past the caches as well."""

    def generate(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.none(), generate


@callable_in_kernels
def take_next(counters, index):
    """Next number of a counter that threads share."""
    return add_shared(counters, index, 1)


@callable_in_kernels
def next_item(queue):
    """Next pair of a queue that threads share (`thread_pool.queue`), -1 when none is left."""
    item = take_next(queue, 0) + 1
    return queue[item] if item < queue.size else -1


_RUN = types.none(types.intp, types.intp)  # signature of what is handed off


@intrinsic
def run_at(context, function, arguments, thread):
    """Run what `offering` gave; whether it failed."""

    def generate(context, builder, signature, values):
        convention = context.call_conv
        kind = convention.get_function_type(_RUN.return_type, _RUN.args)
        pointer = builder.inttoptr(values[0], kind.as_pointer())
        status, _ = convention.call_function(
            builder, pointer, _RUN.return_type, _RUN.args, values[1:]
        )
        return status.is_error

    return types.boolean(types.intp, types.intp, types.intp), generate


def _loading(kind):
    @intrinsic
    def load(context, pointer):
        def generate(context, builder, signature, arguments):
            pointer = builder.inttoptr(arguments[0], context.get_value_type(kind).as_pointer())
            return impl_ret_borrowed(context, builder, kind, builder.load(pointer))

        return kind(types.intp), generate

    return load


def _offering(body, name):
    @intrinsic
    def offer(context, arguments):
        """Addresses of a function that runs the body as a thread, and of its other arguments."""

        def generate(context, builder, signature, values):
            load = _loading(signature.args[0])

            def run(pointer, thread):
                body(thread, *load(pointer))

            # Of symbols of one name the first is taken for all. This function takes an address
            # whatever is there, and processes number their functions alike: the name must tell.
            run.__qualname__ = f"run_{name}_{digest_of(str(signature.args[0]))}"
            function = declare_part(context, builder.module, run, _RUN)
            slot = cgutils.alloca_once_value(builder, values[0])
            addresses = [builder.ptrtoint(pointer, I64) for pointer in (function, slot)]
            return context.make_tuple(builder, signature.return_type, addresses)

        return types.UniTuple(types.intp, 2)(arguments), generate

    return offer


def entry_of(body, name):
    """What Python calls to run body(thread, *arguments) as thread 0, and others if workers come.

    Threads count up to the number asked for. Gives False where memory ran out.
    """
    offer = _offering(body, name)

    def entry(mailbox, threads, *arguments):
        function, pointer = offer(arguments)
        if threads == 0 or not swap_shared(mailbox, HELD, 0, 1):
            return not run_at(function, pointer, 0)
        write_shared(mailbox, FUNCTION, function)
        write_shared(mailbox, ARGUMENTS, pointer)
        write_shared(mailbox, FAILED, 0)
        write_shared(mailbox, THREADS, threads)
        write_shared(mailbox, EXPECTED, 0)
        failed = run_at(function, pointer, 0)
        while True:
            word = read_shared(mailbox, THREADS)
            if swap_shared(mailbox, THREADS, word, word - word % TAKEN):
                break
        while read_shared(mailbox, THREADS) != 0:
            give_way()
        failed |= read_shared(mailbox, FAILED) != 0
        write_shared(mailbox, HELD, 0)
        return not failed

    return entry


def spin(mailbox, rounds):
    """Run the kernels that are offered, until none has been for so many rounds."""
    add_shared(mailbox, SPINNING, 1)
    left = rounds
    while read_shared(mailbox, CLOSED) == 0:
        if left == 0:
            add_shared(mailbox, SPINNING, -1)
            if add_shared(mailbox, EXPECTED, 0) == 0 and read_shared(mailbox, THREADS) % TAKEN == 0:
                return
            add_shared(mailbox, SPINNING, 1)
            left = rounds
        word = read_shared(mailbox, THREADS)
        thread = word % TAKEN
        if thread > 0 and swap_shared(mailbox, THREADS, word, word - 1 + TAKEN):
            function, pointer = read_shared(mailbox, FUNCTION), read_shared(mailbox, ARGUMENTS)
            if run_at(function, pointer, thread):
                write_shared(mailbox, FAILED, 1)
            add_shared(mailbox, THREADS, -TAKEN)
            left = rounds
        else:
            give_way()
            left -= 1
    add_shared(mailbox, SPINNING, -1)
