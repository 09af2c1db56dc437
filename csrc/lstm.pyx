"""A long short-term memory, forward.

# Design:
# The kernel (micro/recurrent.inc.c) makes 2*lanes hidden units of one sequence: it sums their gates and ends the step.
# So weights are packed in blocks of 2*lanes units, all that a block needs one behind the other. A task is a block, for
# all sequences: it reads its weights from memory once for each step.
# Where few vectors enter, the weights of x lie before those of h in a block, and the kernel sums both. Where there are
# many, the products of x of some steps are one product of matrices before (gemm.pyx), and begin the sums of the gates.
# Each side has a direction and weights of its own.
# The state is in y itself: after the steps come the last h and the last c. A unit is summed by one thread, in order.
"""

import numpy as np

from .jobs import Array

cimport cython
from libc.string cimport memcpy, memset

from arrays cimport data_of
from costs cimport EXPONENTIAL_NANOSECONDS, GEMM_NANOSECONDS
from kernels cimport cnnx_lstm, kernels_for, real
from tile cimport Tile, tile_of
from .gemm cimport Matrix, Product, product_of, product_task
from .jobs cimport Job, Packed
from .memory cimport empty, take
from .parallel cimport EVENLY, ON_DEMAND, Task, Team, ceil_div, part_of, run_team

cdef enum:
    GATES = 4
    FEW_VECTORS = 6                 # of all steps: each reads the weights of x again
    VECTORS_TOGETHER = 128          # of x in a product of matrices, at least one step

cdef double STREAM_NANOSECONDS = 0.05       # a weight that is read and multiplied

cdef struct Shape:
    Py_ssize_t steps, n, inputs, hidden, sides
    bint reverse                    # the first side; the second one always is
    bint few
    Py_ssize_t width, blocks        # hidden units of a block; blocks of a side
    Py_ssize_t of_x, block          # weights: of x, for all blocks, or 0; of a block
    Py_ssize_t side                 # all packed numbers of a side: of_x, blocks, biases of the gates
    Py_ssize_t together             # steps in a product of matrices

cdef struct Step:                   # of a side
    const Shape *shape
    const void *weight              # blocks
    const void *start               # (n, 4 hidden), or, if few, (4 hidden): the sums of the gates begin with it
    const void *x                   # (n, inputs)
    const void *h                   # (n, hidden)
    void *next_h
    void *c                         # read and written


cdef Shape shape_of_lstm(
    Py_ssize_t steps, Py_ssize_t n, Py_ssize_t inputs, Py_ssize_t hidden, Py_ssize_t sides, bint reverse, Tile tile
) noexcept:
    cdef Shape s
    s.steps, s.n, s.inputs, s.hidden, s.sides, s.reverse = steps, n, inputs, hidden, sides, reverse
    s.few = steps * n <= FEW_VECTORS
    s.width = 2 * tile.lanes
    s.blocks = ceil_div(hidden, s.width)
    s.of_x = 0 if s.few else GATES * hidden * inputs
    s.block = ((inputs if s.few else 0) + hidden) * GATES * s.width
    s.side = s.of_x + s.blocks * s.block + GATES * hidden
    s.together = max(<Py_ssize_t>1, VECTORS_TOGETHER // max(<Py_ssize_t>1, n))
    return s


def lstm(x, w, r, b, h, c, direction):
    cdef LSTM job = LSTM(x.shape, r.shape, x.dtype, direction)
    cdef void *arrays[5]
    cdef Packed packed = job.packed_together(w, r, b)
    y = empty(job.arrays[4].shape, x)
    arrays[0], arrays[1], arrays[2], arrays[3] = data_of(x), packed.block.data, data_of(h), data_of(c)
    arrays[4] = data_of(y)
    job.start(arrays)
    return y


def prepare_lstm(tuple x_shape, tuple r_shape, dtype, str direction):
    """The job of `lstm`: job.run(x, job.pack((w, r, b)), h or None, c or None, y)."""
    return LSTM(x_shape, r_shape, np.dtype(dtype), direction)


# ----------------------------------------------------------------------------------------------------- weights


cdef void pack_side(const Shape *s, const real *w, const real *r, const real *b, real *packed) noexcept nogil:
    cdef Py_ssize_t block, gate, first, count, i, n = GATES * s.hidden
    cdef Py_ssize_t of_x = s.inputs if s.few else 0, row = GATES * s.width
    cdef real *to
    if not s.few:
        memcpy(packed, w, s.of_x * sizeof(real))
    for block in range(s.blocks):
        first = block * s.width
        count = min(s.width, s.hidden - first)
        for gate in range(GATES):
            to = packed + s.of_x + block * s.block + gate * s.width
            pack_gate(count, of_x, w + (gate * s.hidden + first) * s.inputs, s.width, row, to)
            pack_gate(count, s.hidden, r + (gate * s.hidden + first) * s.hidden, s.width, row, to + of_x * row)
    for i in range(n):
        packed[s.of_x + s.blocks * s.block + i] = b[i] + b[n + i]


cdef void pack_gate(
    Py_ssize_t count, Py_ssize_t k, const real *from_, Py_ssize_t width, Py_ssize_t row, real *to
) noexcept nogil:
    """to[p*row + u] = from_[u*k + p]; 0 for count <= u < width."""
    cdef Py_ssize_t p
    kernels_for(to).transpose(count, k, from_, k, to, row)
    for p in range(k if count < width else 0):
        memset(to + p * row + count, 0, (width - count) * sizeof(real))


# ------------------------------------------------------------------------------------------------------- steps


cdef void units_task(const Step *step, Py_ssize_t block, real *scratch) noexcept nogil:
    """The units of a block, of all sequences."""
    cdef const Shape *s = step.shape
    cdef Py_ssize_t first = block * s.width, i, at
    cdef cnnx_lstm sizes = cnnx_lstm(
        min(s.width, s.hidden - first), s.inputs if s.few else 0, s.hidden, s.hidden
    )
    for i in range(s.n):
        at = i * s.hidden + first
        kernels_for(scratch).lstm_units(
            &sizes, <const real *>step.x + i * s.inputs, <const real *>step.h + i * s.hidden,
            <const real *>step.weight + block * s.block,
            <const real *>step.start + first + (0 if s.few else i * GATES * s.hidden), <const real *>step.c + at,
            <real *>step.next_h + at, <real *>step.c + at,
        )


cdef void run_side(
    const Shape *s,
    Py_ssize_t side,
    const real *x,              # IN   (steps, n, inputs)
    const real *packed,         # IN   of this side
    const real *h,              # IN   (n, hidden), or NULL: zeros
    const real *c,              # IN   the same
    real *y,                    # OUT  (steps + 2, sides, n, hidden)
    real *gates,                # (together, n, 4 hidden), unless few
    const Team *team,
) noexcept nogil:
    cdef bint backwards = s.reverse or side == 1
    cdef Py_ssize_t size = s.n * s.hidden, number, t, first = 0
    cdef real *last_h = y + (s.steps * s.sides + side) * size
    cdef real *last_c = y + ((s.steps + 1) * s.sides + side) * size
    cdef const real *bias = packed + s.of_x + s.blocks * s.block
    cdef Team part = part_of(team, STREAM_NANOSECONDS * s.n * s.blocks * s.block)
    cdef Step step = Step(s, packed + s.of_x, bias, NULL, last_h, NULL, last_c)
    begin(size, h, last_h)
    begin(size, c, last_c)
    for number in range(s.steps):
        t = s.steps - 1 - number if backwards else number
        if not s.few:
            if number % s.together == 0:
                first = max(<Py_ssize_t>0, t - s.together + 1) if backwards else t
                products(s, min(s.together, s.steps - number), x + first * s.n * s.inputs, packed, bias, gates, team)
            step.start = gates + (t - first) * s.n * GATES * s.hidden
        step.x, step.next_h = x + t * s.n * s.inputs, y + (t * s.sides + side) * size
        run_team(&part, <Task>units_task[real], &step, s.blocks, EVENLY)
        step.h = step.next_h
    if s.steps:
        memcpy(last_h, step.h, size * sizeof(real))


cdef inline void begin(Py_ssize_t n, const real *given, real *state) noexcept nogil:
    if given != NULL:
        memcpy(state, given, n * sizeof(real))
    else:
        memset(state, 0, n * sizeof(real))


cdef void products(
    const Shape *s, Py_ssize_t steps, const real *x, const real *w, const real *bias, real *gates, const Team *team
) noexcept nogil:
    """gates = x w + bias, of some steps."""
    cdef Product product = product_of(
        steps * s.n, GATES * s.hidden, s.inputs, kernels_for(gates).mr, kernels_for(gates).nr
    )
    product.a, product.b = Matrix(x, s.inputs, 1), Matrix(w, 1, s.inputs)
    product.bias, product.c = bias, gates
    run_team(team, <Task>product_task[real], &product, product.tasks, ON_DEMAND)


# --------------------------------------------------------------------------------------------------------- job


@cython.final
cdef class LSTM(Job):
    cdef Shape shape
    cdef bint single

    def __init__(self, tuple x_shape, tuple r_shape, dtype, str direction):
        cdef Shape s
        cdef Product product
        cdef Tile tile
        self.single = dtype == np.float32
        tile = tile_of(self.single)
        steps, n, inputs = x_shape
        sides, hidden = r_shape[0], r_shape[2]
        self.shape = s = shape_of_lstm(steps, n, inputs, hidden, sides, direction == "reverse", tile)
        self.name, self.packed = "lstm", sides * s.side * tile.element
        self.cost = sides * steps * n * (
            GATES * hidden * (inputs + hidden) * (STREAM_NANOSECONDS if s.few else GEMM_NANOSECONDS)
            + 5 * EXPONENTIAL_NANOSECONDS * hidden
        )
        if not s.few:
            product = product_of(min(s.together, s.steps) * n, GATES * hidden, inputs, tile.mr, tile.nr)
            self.scratch = product.scratch * tile.element
            self.shared = min(s.together, s.steps) * n * GATES * hidden * tile.element
        state = sides, n, hidden
        self.arrays = (
            Array("x", "in", x_shape, dtype), Array("weights", "weight", None, dtype),
            Array("h", "optional", state, dtype), Array("c", "optional", state, dtype),
            Array("y", "out", (steps + 2, *state), dtype),
        )

    def pack(self, weights):
        """The weights (w, r, b) in one. ValueError or TypeError for another shape or dtype."""
        cdef const Shape *s = &self.shape
        cdef Py_ssize_t gates = GATES * s.hidden
        self.check_kernels()
        dtype = self.arrays[0].dtype
        sizes = {"w": (s.sides, gates, s.inputs), "r": (s.sides, gates, s.hidden), "b": (s.sides, 2 * gates)}
        for (name, shape), array in zip(sizes.items(), weights, strict=True):
            self.check_array(Array(name, "weight", shape, dtype), array)
        w, r, b = weights
        return self.packed_together(w, r, b)

    cdef Packed packed_together(self, w, r, b):
        cdef const Shape *s = &self.shape
        cdef Packed packed = Packed.__new__(Packed)
        cdef Py_ssize_t side
        packed.job, packed.block = self, take(self.packed)
        for side in range(s.sides):
            if self.single:
                pack_of(s, side, data_of(w), data_of(r), data_of(b), <float *>packed.block.data)
            else:
                pack_of(s, side, data_of(w), data_of(r), data_of(b), <double *>packed.block.data)
        return packed

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Py_ssize_t side
        for side in range(self.shape.sides):
            if self.single:
                side_of(&self.shape, side, arrays, <float *>shared, team)
            else:
                side_of(&self.shape, side, arrays, <double *>shared, team)


cdef void pack_of(
    const Shape *s, Py_ssize_t side, const void *w, const void *r, const void *b, real *packed
) noexcept nogil:
    cdef Py_ssize_t gates = side * GATES * s.hidden
    pack_side(
        s, <const real *>w + gates * s.inputs, <const real *>r + gates * s.hidden, <const real *>b + 2 * gates,
        packed + side * s.side,
    )


cdef void side_of(const Shape *s, Py_ssize_t side, void **arrays, real *gates, const Team *team) noexcept nogil:
    cdef Py_ssize_t state = side * s.n * s.hidden
    cdef const real *h = <const real *>arrays[2] + state if arrays[2] != NULL else NULL
    cdef const real *c = <const real *>arrays[3] + state if arrays[3] != NULL else NULL
    run_side(
        s, side, <const real *>arrays[0], <const real *>arrays[1] + side * s.side, h, c, <real *>arrays[4], gates, team
    )
