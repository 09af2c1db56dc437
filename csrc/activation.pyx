"""Activations.

# Design:
# They walk through memory in one of two ways. A task of an elementwise function is a piece of the flat array. A task of
# softmax is one vector, or, along an axis that is not the last, CNNX_ACROSS of them side by side. Short vectors are
# transposed to lie side by side too: one alone would not fill the lanes, and a maximum and a sum over lanes take longer
# than ten exponentials.
# There is no algorithm to choose and nothing to pack, so eager calls keep no jobs: to look one up would take longer
# than to fill the struct.
"""

from math import prod

import numpy as np

from .jobs import Array

cimport cython
from arrays cimport data_of, is_single, ndim_of, shape_of, size_of
from costs cimport ELEMENTS_PER_TASK, EXPONENTIAL_NANOSECONDS, MEMORY_NANOSECONDS
from kernels cimport CNNX_ACROSS, Ending, kernels_for, real
from .epilogue cimport ending
from .jobs cimport Job
from .memory cimport empty_like
from .parallel cimport EVENLY, Task, Team, ceil_div, run_tasks, run_team

cdef enum Function:                 # above 0: an Ending
    LEAKY_RELU = -5, SIGMOID, TANH, SOFTMAX, LOG_SOFTMAX

cdef int RELU = ending("relu"), RELU6 = ending("relu6")
cdef int HARDSIGMOID = ending("hardsigmoid"), HARDSWISH = ending("hardswish")

cdef struct Activation:
    int function                    # an Ending, or a Function
    double slope                    # of LEAKY_RELU
    Py_ssize_t n                    # elements
    Py_ssize_t outer, k, inner      # softmax: of the axes before its axis, of its axis, and of those behind
    const void *x                   # IN   (n,); backward: dy
    const void *saved               # IN   (n,) backward: the x or y of forward; else NULL
    void *y                         # OUT  (n,); backward: dx
    Task task
    Py_ssize_t tasks
    double cost                     # nanoseconds


def relu(x):
    return elementwise(RELU, x, None)


def relu_backward(dy, y):
    return elementwise(RELU, dy, y)


def relu6(x):
    return elementwise(RELU6, x, None)


def relu6_backward(dy, y):
    return elementwise(RELU6, dy, y)


def hardsigmoid(x):
    return elementwise(HARDSIGMOID, x, None)


def hardsigmoid_backward(dy, y):
    return elementwise(HARDSIGMOID, dy, y)


def hardswish(x):
    return elementwise(HARDSWISH, x, None)


def hardswish_backward(dy, x):
    return elementwise(HARDSWISH, dy, x)


def leaky_relu(x, negative_slope):
    return elementwise(LEAKY_RELU, x, None, negative_slope)


def leaky_relu_backward(dy, x, negative_slope):
    return elementwise(LEAKY_RELU, dy, x, negative_slope)


def sigmoid(x):
    return elementwise(SIGMOID, x, None)


def sigmoid_backward(dy, y):
    return elementwise(SIGMOID, dy, y)


def tanh(x):
    return elementwise(TANH, x, None)


def tanh_backward(dy, y):
    return elementwise(TANH, dy, y)


def softmax(x, axis):
    return along_axis(SOFTMAX, x, None, axis)


def softmax_backward(dy, y, axis):
    return along_axis(SOFTMAX, dy, y, axis)


def log_softmax(x, axis):
    return along_axis(LOG_SOFTMAX, x, None, axis)


def log_softmax_backward(dy, y, axis):
    return along_axis(LOG_SOFTMAX, dy, y, axis)


cdef object elementwise(int function, x, saved, double slope=0):
    """y = f(x), or, with what forward saved, dx from dy = x."""
    cdef Activation job
    job.function, job.slope = function, slope
    set_elements(&job, size_of(x), is_single(x), saved is not None)
    return applied(&job, x, saved)


cdef object along_axis(Function function, x, saved, int axis):
    """y = f(x) along an axis, or, with what forward saved, dx from dy = x."""
    cdef const Py_ssize_t *shape = shape_of(x)
    cdef Py_ssize_t outer = 1, inner = 1
    cdef Activation job
    cdef int d
    for d in range(axis):
        outer *= shape[d]
    for d in range(axis + 1, ndim_of(x)):
        inner *= shape[d]
    job.function = function
    set_vectors(&job, outer, shape[axis], inner, is_single(x))
    return applied(&job, x, saved)


cdef object applied(Activation *job, x, saved):
    y = empty_like(x)
    job.x, job.saved, job.y = data_of(x), data_of(saved), data_of(y)
    run_tasks(job.task, job, job.tasks, EVENLY, job.cost)
    return y


# ------------------------------------------------------------------------------------------------- elementwise


cdef void set_elements(Activation *job, Py_ssize_t n, bint single, bint backward) noexcept:
    job.n, job.tasks = n, ceil_div(n, ELEMENTS_PER_TASK)
    if backward:
        job.task = <Task>backward_task[float] if single else <Task>backward_task[double]
    else:
        job.task = <Task>forward_task[float] if single else <Task>forward_task[double]
    job.cost = (EXPONENTIAL_NANOSECONDS if job.function in (SIGMOID, TANH) and not backward else MEMORY_NANOSECONDS) * n


cdef void forward_task(const Activation *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t i = task * ELEMENTS_PER_TASK, n = min(<Py_ssize_t>ELEMENTS_PER_TASK, job.n - i)
    cdef const real *x = <const real *>job.x + i
    cdef real *y = <real *>job.y + i
    if job.function > 0:
        kernels_for(x).activate(<Ending>job.function, n, x, y)
    elif job.function == LEAKY_RELU:
        kernels_for(x).leaky_relu(n, x, <real>job.slope, y)
    elif job.function == SIGMOID:
        kernels_for(x).sigmoid(n, x, y)
    else:
        kernels_for(x).tanh(n, x, y)


cdef void backward_task(const Activation *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t i = task * ELEMENTS_PER_TASK, n = min(<Py_ssize_t>ELEMENTS_PER_TASK, job.n - i)
    cdef const real *dy = <const real *>job.x + i
    cdef const real *saved = <const real *>job.saved + i
    cdef real *dx = <real *>job.y + i
    if job.function > 0:
        kernels_for(dy).activate_backward(<Ending>job.function, n, dy, saved, dx)
    elif job.function == LEAKY_RELU:
        kernels_for(dy).leaky_relu_backward(n, dy, saved, <real>job.slope, dx)
    elif job.function == SIGMOID:
        kernels_for(dy).sigmoid_backward(n, dy, saved, dx)
    else:
        kernels_for(dy).tanh_backward(n, dy, saved, dx)


# ------------------------------------------------------------------------------------------------------ softmax


cdef void set_vectors(Activation *job, Py_ssize_t outer, Py_ssize_t k, Py_ssize_t inner, bint single) noexcept:
    cdef bint short
    job.outer, job.k, job.inner, job.n = outer, k, inner, outer * k * inner
    job.cost = EXPONENTIAL_NANOSECONDS * job.n
    short = job.inner == 1 and job.k <= SHORT_VECTOR
    if short:
        job.task = <Task>short_vectors_task[float] if single else <Task>short_vectors_task[double]
    else:
        job.task = <Task>vectors_task[float] if single else <Task>vectors_task[double]
    job.tasks = 0                   # of empty vectors: they have no largest element
    if job.n:
        job.tasks = ceil_div(job.outer, CNNX_ACROSS) if short else job.outer * ceil_div(job.inner, CNNX_ACROSS)


cdef void short_vectors_task(const Activation *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some short vectors, one after the other in memory: transposed so that they lie side by side, and back."""
    cdef real transposed[SHORT_VECTOR * CNNX_ACROSS]
    cdef real transposed_saved[SHORT_VECTOR * CNNX_ACROSS]
    cdef Py_ssize_t k = job.k, n = min(<Py_ssize_t>CNNX_ACROSS, job.outer - task * CNNX_ACROSS)
    cdef Py_ssize_t start = task * CNNX_ACROSS * k
    cdef real *y = <real *>job.y + start
    kernels_for(y).transpose_across(k, n, <const real *>job.x + start, transposed)
    if job.saved != NULL:
        kernels_for(y).transpose_across(k, n, <const real *>job.saved + start, transposed_saved)
    vectors_side_by_side(
        job, n, CNNX_ACROSS, transposed, transposed_saved if job.saved != NULL else NULL, transposed
    )
    kernels_for(y).transpose_across_back(k, n, transposed, y)


cdef void vectors_task(const Activation *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some neighbouring vectors; one, where the axis is the last."""
    cdef Py_ssize_t runs = ceil_div(job.inner, CNNX_ACROSS), first = task % runs * CNNX_ACROSS
    cdef Py_ssize_t start = task // runs * job.k * job.inner + first
    cdef const real *x = <const real *>job.x + start
    cdef const real *saved = <const real *>job.saved + start if job.saved != NULL else NULL
    cdef real *y = <real *>job.y + start
    if job.inner > 1:
        vectors_side_by_side(job, min(<Py_ssize_t>CNNX_ACROSS, job.inner - first), job.inner, x, saved, y)
    elif job.function == SOFTMAX:
        if saved == NULL:
            kernels_for(x).softmax(job.k, x, y, NULL)
        else:
            kernels_for(x).softmax_backward(job.k, x, saved, y)
    elif saved == NULL:
        kernels_for(x).log_softmax(job.k, x, y)
    else:
        kernels_for(x).log_softmax_backward(job.k, x, saved, y)


cdef void vectors_side_by_side(
    const Activation *job,
    Py_ssize_t n,                   # vectors
    Py_ssize_t stride,              # from one element of a vector to the next
    const real *x,                  # IN
    const real *saved,              # IN   as x, or NULL: forward
    real *y,                        # OUT  as x
) noexcept nogil:
    if job.function == SOFTMAX:
        if saved == NULL:
            kernels_for(x).softmax_across(job.k, n, stride, x, y, NULL, NULL)
        else:
            kernels_for(x).softmax_backward_across(job.k, n, stride, x, saved, y)
    elif saved == NULL:
        kernels_for(x).log_softmax_across(job.k, n, stride, x, y)
    else:
        kernels_for(x).log_softmax_backward_across(job.k, n, stride, x, saved, y)


# --------------------------------------------------------------------------------------------------------- jobs


cdef dict FUNCTIONS = {
    "leaky_relu": LEAKY_RELU, "sigmoid": SIGMOID, "tanh": TANH, "softmax": SOFTMAX, "log_softmax": LOG_SOFTMAX,
}


def prepare_activation(str op, tuple shape, dtype, *, double negative_slope=0.01, int axis=1):
    """A Job of "relu", "relu_backward", "softmax", ... for arrays of this shape.

    Its arrays: x, y; of a backward: dy, saved (what the backward op takes: the x or the y of forward), dx.
    """
    cdef ActivationJob job = ActivationJob.__new__(ActivationJob)
    cdef str forward = op.removesuffix("_backward")
    cdef bint backward = forward != op, single = np.dtype(dtype) == np.float32
    job.activation.function = FUNCTIONS[forward] if forward in FUNCTIONS else <int>ending(forward)
    job.activation.slope = negative_slope
    if job.activation.function in (SOFTMAX, LOG_SOFTMAX):
        axis = range(len(shape))[axis]
        set_vectors(&job.activation, prod(shape[:axis]), shape[axis], prod(shape[axis + 1:]), single)
    else:
        set_elements(&job.activation, prod(shape), single, backward)
    names = (("dy", "in"), ("saved", "in"), ("dx", "out")) if backward else (("x", "in"), ("y", "out"))
    dtype = np.dtype(np.float32 if single else np.float64)
    job.arrays = tuple([Array(name, role, shape, dtype) for name, role in names])
    job.backward, job.name, job.cost = backward, op, job.activation.cost
    return job


@cython.final
cdef class ActivationJob(Job):
    cdef Activation activation
    cdef bint backward

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Activation activation = self.activation
        cdef bint backward = self.backward
        activation.x, activation.saved, activation.y = arrays[0], arrays[1] if backward else NULL, arrays[1 + backward]
        run_team(team, activation.task, &activation, activation.tasks, EVENLY)
