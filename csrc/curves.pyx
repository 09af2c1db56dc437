"""Smooth activations: functions of single elements with up to two settings; micro/curves.inc.c computes them.

A task is a piece of the flat array.
"""

from arrays cimport data_of, is_single, size_of
from costs cimport ELEMENTS_PER_TASK, EXPONENTIAL_NANOSECONDS
from kernels cimport ELU, GELU, GELU_TANH, MISH, SILU, SOFTPLUS, Curve, kernels_for, real
from .memory cimport empty_like
from .parallel cimport EVENLY, Task, ceil_div, run_tasks

cdef struct Elements:
    Curve curve
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
    cdef Elements job = Elements(curve, a, b, size_of(x), data_of(x), data_of(dy), data_of(y))
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
