"""Records that the functions of the soft alignment pass to each other."""

from typing import Any, NamedTuple

from fastsw._cuda.kernels.penalties import Penalties

#: Counters of a launch, those that warps poll in sectors of their own: the next item of either
#: attempt, pairs whose forward pass the first one has finished, and those of them that are left to
#: the second; the same three of the linear attempt before both.
NEXT_ITEM, NEXT_RETRIED, FINISHED, LEFT = 0, 1, 32, 33
NEXT_LINEAR, LINEAR_FINISHED, LINEAR_LEFT, COUNTERS = 64, 96, 97, 128

#: Progress in the second attempt is counted from here.
RETRIED = 1 << 24

#: What became of a pair: a sound answer, NaN, or values beyond the range of single precision; and
#: in the linear attempt, whether it is answered.
SOUND, ANSWERED_NAN, OUT_OF_RANGE, ANSWERED, UNANSWERED = 0, 1, 2, 3, 4


class Request(NamedTuple):
    """What was asked for, as the kernel's arguments give it."""

    similarity: Any
    tangents: Any  # of the similarities
    penalties: Any  # four pointers
    penalty_tangents: Any  # four pointers
    numbers: Any  # what stands for those of the four, and the temperature, that are numbers
    temperatures: Any
    forms: Any
    lengths: Any
    pairs: Any
    rows: Any
    columns: Any
    mode: Any
    want: Any
    linear: Any  # whether there is a linear attempt
    together: Any  # whether rows of similarities begin at multiples of 16 bytes


class Call(NamedTuple):
    """What the strips of a launch share."""

    similarity: Any
    tangents: Any  # of the similarities
    penalties: Penalties
    remainder: Any  # what `penalties.unit` leaves out of 1 / (T log 2)
    mode: Any
    want: Any
    rows: Any
    columns: Any


class Counters(NamedTuple):
    """Where the warps of a launch meet; the first three are zero at first."""

    control: Any  # [COUNTERS]
    forward_done: Any  # [pairs, strips], tiles that the forward pass has finished
    backward_done: Any
    status: Any  # [pairs]
    findings: Any  # [pairs, strips], what forward passes found


class Fields(NamedTuple):
    """Numbers in memory or in shared memory: mantissas, exponents, tangents."""

    f: Any
    k: Any
    d: Any


class Store(NamedTuple):
    """What a launch keeps in memory."""

    forward_rows: Fields  # [pairs, strips, width, RECORD], boundary rows of the forward pass
    backward_rows: Fields  # the same of the backward pass
    entries: Fields  # [pairs, strips, tiles, 4, LANES], states that enter tiles
    ends: Fields  # [pairs, strips, LANES], the numbers of the virtual column
    totals: Any  # [pairs, 3]
    sums: Any  # [pairs, strips, SUMS]


class Shared(NamedTuple):
    """What a warp keeps in shared memory (states of wide numbers: a lane, in its own memory)."""

    similarity: Any  # [LANES, STEPS + 1], skewed
    states: Fields  # [STEPS, 3, LANES]
    boundaries: Fields  # three times [STEPS, RECORD]: the row above, the row below, the outgoing
    sums: Any  # [SUMS, LANES]


class Answers(NamedTuple):
    """What the caller gets; of each pair."""

    score: Any
    slope: Any
    gradient: Any
    penalties: Any  # four pointers


class Strip(NamedTuple):
    """One strip of a pair, and the lane's place in it."""

    b: Any
    s: Any
    lane: Any
    n: Any  # rows and columns of the pair
    m: Any
    first: Any  # first row and column of the grid
    last: Any  # last column, the virtual one included
    i: Any  # the lane's row
    number: Any  # of the strip among those of all pairs
    strips: Any  # of the pair
    tiles: Any  # of the strip
    similarity_at: Any  # of the warp, in shared memory
    states_at: Any
    above_at: Any
    below_at: Any
    outgoing_at: Any
    sums_at: Any
