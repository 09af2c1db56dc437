"""Optimiser steps, in place, all parameters in one call. Formulas and sources in backends/reference/optim.py.

# Design:
# A parameter is an array of its own; its state is a piece of flat arrays, where one parameter follows the other. Each
# call cuts all of them into pieces of at most PIECE elements and writes down where each lies, in a table that the
# threads then share out: so a small network is one short loop, and a large weight is spread over all threads. The
# table is made anew at every call, for arrays may have been replaced since: that costs a few nanoseconds a piece.
"""

from libc.math cimport pow

from arrays cimport data_of, is_single, itemsize_of, size_of
from costs cimport ADAGRAD_NANOSECONDS, ADAM_NANOSECONDS, RMSPROP_NANOSECONDS, SGD_NANOSECONDS
from kernels cimport kernels_for, real
from .memory cimport Block, take
from .parallel cimport EVENLY, Task, run_tasks

cdef enum:
    PIECE = 1 << 12             # elements: 16 kB of each of the arrays
    MOST_STATES = 3

cdef struct Piece:              # of one parameter
    Py_ssize_t n
    char *param
    const char *grad
    char *state[MOST_STATES]    # NULL: not there

cdef struct Step:               # the numbers that a method has
    const Piece *pieces
    double lr, momentum, weight_decay, alpha, eps, one_minus_beta1, beta2, one_minus_beta2, root_scale
    bint nesterov


def sgd_step(params, grads, velocity, lr, momentum, weight_decay, nesterov):
    cdef Step step
    step.lr, step.momentum, step.weight_decay, step.nesterov = lr, momentum, weight_decay, nesterov
    walk(<Task>sgd_task[float], <Task>sgd_task[double], &step, params, grads, (velocity,), SGD_NANOSECONDS)


def rmsprop_step(params, grads, square_avg, grad_avg, velocity, lr, alpha, eps, weight_decay, momentum):
    cdef Step step
    step.lr, step.alpha, step.eps, step.weight_decay, step.momentum = lr, alpha, eps, weight_decay, momentum
    walk(
        <Task>rmsprop_task[float], <Task>rmsprop_task[double], &step, params, grads, (square_avg, grad_avg, velocity),
        RMSPROP_NANOSECONDS,
    )


def adagrad_step(params, grads, sum_sq, lr, eps, weight_decay):
    cdef Step step
    step.lr, step.eps, step.weight_decay = lr, eps, weight_decay
    walk(<Task>adagrad_task[float], <Task>adagrad_task[double], &step, params, grads, (sum_sq,), ADAGRAD_NANOSECONDS)


def adam_step(
    params, grads, exp_avg, exp_avg_sq, double lr, double beta1, double beta2, eps, weight_decay, double step
):
    cdef Step job
    job.lr, job.eps, job.weight_decay = lr / (1 - pow(beta1, step)), eps, weight_decay
    job.one_minus_beta1, job.beta2, job.one_minus_beta2 = 1 - beta1, beta2, 1 - beta2
    job.root_scale = pow(1 - pow(beta2, step), -0.5)
    walk(
        <Task>adam_task[float], <Task>adam_task[double], &job, params, grads, (exp_avg, exp_avg_sq), ADAM_NANOSECONDS
    )


cdef int walk(
    Task of_floats, Task of_doubles, Step *step, list params, list grads, tuple states, double nanoseconds
) except -1:
    """Update all parameters; nanoseconds is what an element takes."""
    cdef Py_ssize_t size = 0, count = len(params), tasks, i
    for i in range(count):
        size += size_of(params[i])
    cdef Block block = take((size // PIECE + count) * sizeof(Piece))
    step.pieces = <Piece *>block.data
    tasks = cut(params, grads, states, <Piece *>block.data)
    if tasks:
        run_tasks(of_floats if is_single(params[0]) else of_doubles, step, tasks, EVENLY, nanoseconds * size)
    return 0


cdef Py_ssize_t cut(list params, list grads, tuple states, Piece *piece) except -1:
    """Write down the pieces of all parameters that have a gradient. Returns their number."""
    cdef Py_ssize_t tasks = 0, start = 0, count = len(states), size, done, item, i, s
    cdef char *param
    cdef const char *grad
    cdef char *state[MOST_STATES]
    for s in range(MOST_STATES):
        state[s] = <char *>data_of(states[s]) if s < count else NULL
    for i in range(len(params)):
        size, item = size_of(params[i]), itemsize_of(params[i])
        if grads[i] is not None:
            param, grad = <char *>data_of(params[i]), <const char *>data_of(grads[i])
            for done in range(0, size, PIECE):
                piece.n = min(<Py_ssize_t>PIECE, size - done)
                piece.param, piece.grad = param + done * item, grad + done * item
                for s in range(MOST_STATES):
                    piece.state[s] = state[s] + (start + done) * item if state[s] != NULL else NULL
                piece += 1
                tasks += 1
        start += size
    return tasks


cdef void sgd_task(const Step *step, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef const Piece *piece = &step.pieces[task]
    kernels_for(scratch).sgd(
        piece.n, <real *>piece.param, <const real *>piece.grad, <real *>piece.state[0],
        step.lr, step.momentum, step.weight_decay, step.nesterov,
    )


cdef void rmsprop_task(const Step *step, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef const Piece *piece = &step.pieces[task]
    kernels_for(scratch).rmsprop(
        piece.n, <real *>piece.param, <const real *>piece.grad, <real *>piece.state[0], <real *>piece.state[1],
        <real *>piece.state[2],
        step.lr, <real>step.alpha, <real>(1 - step.alpha), step.eps, step.weight_decay, step.momentum,
    )


cdef void adagrad_task(const Step *step, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef const Piece *piece = &step.pieces[task]
    kernels_for(scratch).adagrad(
        piece.n, <real *>piece.param, <const real *>piece.grad, <real *>piece.state[0],
        step.lr, step.eps, step.weight_decay,
    )


cdef void adam_task(const Step *step, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef const Piece *piece = &step.pieces[task]
    kernels_for(scratch).adam(
        piece.n, <real *>piece.param, <const real *>piece.grad, <real *>piece.state[0], <real *>piece.state[1],
        step.lr, step.one_minus_beta1, step.beta2, step.one_minus_beta2, step.eps, step.weight_decay, step.root_scale,
    )
