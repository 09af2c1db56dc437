"""Functions of single elements with up to two settings: smooth activations, which micro/curves.inc.c computes, and
roots, exponentials, ..., which micro/elementwise.inc.c does.

A task is a piece of the flat array.
"""

from math import prod

import numpy as np

from .jobs import Array

cimport cython
from arrays cimport data_of, is_single, size_of
from costs cimport ELEMENTS_PER_TASK, EXPONENTIAL_NANOSECONDS, MEMORY_NANOSECONDS
from kernels cimport ABS, AFFINE, CLIP, EXP, LOG, NEGATIVE, RECIPROCAL, SQRT, Unary
from kernels cimport ELU, GELU, GELU_TANH, MISH, SILU, SOFTPLUS, Curve, kernels_for, real
from .jobs cimport Job
from .memory cimport empty_like
from .parallel cimport EVENLY, Task, Team, ceil_div, run_tasks, run_team

cdef struct Elements:
    Curve curve                     # or:
    Unary unary
    double a, b                     # its settings
    Py_ssize_t n
    const void *x                   # IN   (n,)
    const void *dy                  # IN   (n,); NULL: forward
    void *y                         # OUT  (n,); backward: dx


def elu(x, alpha):
    return applied(ELU, x, None, alpha, 0)


def elu_backward(dy, x, alpha):
    return applied(ELU, x, dy, alpha, 0)


def gelu(x, approximate):
    return applied(GELU_TANH if approximate == "tanh" else GELU, x, None, 0, 0)


def gelu_backward(dy, x, approximate):
    return applied(GELU_TANH if approximate == "tanh" else GELU, x, dy, 0, 0)


def silu(x):
    return applied(SILU, x, None, 0, 0)


def silu_backward(dy, x):
    return applied(SILU, x, dy, 0, 0)


def softplus(x, beta, threshold):
    return applied(SOFTPLUS, x, None, beta, threshold)


def softplus_backward(dy, x, beta, threshold):
    return applied(SOFTPLUS, x, dy, beta, threshold)


def mish(x):
    return applied(MISH, x, None, 0, 0)


def mish_backward(dy, x):
    return applied(MISH, x, dy, 0, 0)


cdef object applied(Curve curve, x, dy, double a, double b):
    """y, or, with dy, dx."""
    y = empty_like(x)
    cdef Elements job = Elements(curve, ABS, a, b, size_of(x), data_of(x), data_of(dy), data_of(y))
    run_tasks(
        <Task>curve_task[float] if is_single(x) else <Task>curve_task[double], &job, ceil_div(job.n, ELEMENTS_PER_TASK),
        EVENLY, 2 * EXPONENTIAL_NANOSECONDS * job.n,
    )
    return y


cdef void curve_task(const Elements *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t i = task * ELEMENTS_PER_TASK, n = min(<Py_ssize_t>ELEMENTS_PER_TASK, job.n - i)
    cdef const real *x = <const real *>job.x + i
    cdef const real *dy = <const real *>job.dy
    cdef real *y = <real *>job.y + i
    cdef real a = <real>job.a, b = <real>job.b
    if dy == NULL:
        kernels_for(x).curve(job.curve, n, x, a, b, y)
    else:
        kernels_for(x).curve_backward(job.curve, n, dy + i, x, a, b, y)


# ---------------------------------------------------------------------------------- roots, exponentials, limits


cdef dict UNARY = {
    "abs": ABS, "negative": NEGATIVE, "reciprocal": RECIPROCAL, "sqrt": SQRT, "exp": EXP, "log": LOG, "clip": CLIP,
    "affine": AFFINE,
}


def unary(x, function, a, b):
    y = empty_like(x)
    cdef Elements job = Elements(ELU, UNARY[function], a, b, size_of(x), data_of(x), NULL, data_of(y))
    run_tasks(
        <Task>unary_task[float] if is_single(x) else <Task>unary_task[double], &job, ceil_div(job.n, ELEMENTS_PER_TASK),
        EVENLY, unary_cost(job.unary) * job.n,
    )
    return y


cdef double unary_cost(Unary function) noexcept:
    """Nanoseconds of an element."""
    return EXPONENTIAL_NANOSECONDS if function in (EXP, LOG, SQRT) else MEMORY_NANOSECONDS


cdef void unary_task(const Elements *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t i = task * ELEMENTS_PER_TASK
    cdef const real *x = <const real *>job.x + i
    kernels_for(x).unary(
        job.unary, min(<Py_ssize_t>ELEMENTS_PER_TASK, job.n - i), x, <real>job.a, <real>job.b, <real *>job.y + i
    )


# --------------------------------------------------------------------------------------------------------- jobs


cdef dict CURVES = {"elu": ELU, "silu": SILU, "softplus": SOFTPLUS, "mish": MISH}


def prepare_curve(str op, tuple shape, dtype, *settings):
    """The job of "elu", "gelu", ... with the settings that the op has behind x: job.run(x, y). In a plan y may be x."""
    if op == "gelu":
        return CurveJob(op, GELU_TANH if settings[0] == "tanh" else GELU, (), shape, np.dtype(dtype))
    return CurveJob(op, CURVES[op], settings, shape, np.dtype(dtype))


def prepare_unary(str function, tuple shape, dtype, double a, double b):
    """The job of `unary`: job.run(x, y). In a plan y may be x."""
    cdef CurveJob job = CurveJob(function, ELU, (a, b), shape, np.dtype(dtype))
    job.elements.unary, job.cost = UNARY[function], unary_cost(UNARY[function]) * job.elements.n
    job.task = <Task>unary_task[float] if np.dtype(dtype) == np.float32 else <Task>unary_task[double]
    return job


@cython.final
cdef class CurveJob(Job):
    cdef Task task
    cdef Elements elements              # with NULL for the arrays

    def __init__(self, str op, Curve curve, tuple settings, tuple shape, dtype):
        cdef double a = settings[0] if settings else 0, b = settings[1] if len(settings) > 1 else 0
        self.elements = Elements(curve, ABS, a, b, prod(shape), NULL, NULL, NULL)
        self.task = <Task>curve_task[float] if dtype == np.float32 else <Task>curve_task[double]
        self.name, self.cost = op, 2 * EXPONENTIAL_NANOSECONDS * self.elements.n
        self.arrays = Array("x", "in", shape, dtype), Array("y", "out", shape, dtype)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Elements elements = self.elements
        elements.x, elements.y = arrays[0], arrays[1]
        run_team(team, self.task, &elements, ceil_div(elements.n, ELEMENTS_PER_TASK), EVENLY)
