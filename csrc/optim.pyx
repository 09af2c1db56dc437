"""Optimiser steps, in place, all parameters in one call. Formulas and sources in backends/reference/optim.py.

# Design:
# A parameter is an array of its own; its state is a piece of flat arrays, where one parameter follows the other. Each
# call cuts all of them into pieces of at most PIECE elements and writes down where each lies, in a table that the
# threads then share out: so a small network is one short loop, and a large weight is spread over all threads. The
# table is made anew at every call, for arrays may have been replaced since: that costs a few nanoseconds a piece.
"""

from libc.math cimport pow

from arrays cimport data_of, is_single, itemsize_of, size_of
from costs cimport ADAGRAD_NANOSECONDS, ADAM_NANOSECONDS, EMA_NANOSECONDS, RMSPROP_NANOSECONDS, SGD_NANOSECONDS
from kernels cimport cnnx_step, kernels_for, real
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

cdef struct Walk:               # over all parameters
    const Piece *pieces
    cnnx_step step


def sgd_step(params, grads, velocity, lr, momentum, weight_decay, nesterov, double dampening):
    cdef cnnx_step rule
    rule.lr, rule.momentum, rule.weight_decay, rule.nesterov = lr, momentum, weight_decay, nesterov
    rule.share = 1 - dampening
    walk(<Task>sgd_task[float], <Task>sgd_task[double], &rule, params, grads, (velocity,), SGD_NANOSECONDS)


def rmsprop_step(params, grads, square_avg, grad_avg, velocity, lr, alpha, eps, weight_decay, momentum):
    cdef cnnx_step rule
    rule.lr, rule.alpha, rule.eps, rule.weight_decay, rule.momentum = lr, alpha, eps, weight_decay, momentum
    walk(
        <Task>rmsprop_task[float], <Task>rmsprop_task[double], &rule, params, grads, (square_avg, grad_avg, velocity),
        RMSPROP_NANOSECONDS,
    )


def adagrad_step(params, grads, sum_sq, lr, eps, weight_decay):
    cdef cnnx_step rule
    rule.lr, rule.eps, rule.weight_decay = lr, eps, weight_decay
    walk(<Task>adagrad_task[float], <Task>adagrad_task[double], &rule, params, grads, (sum_sq,), ADAGRAD_NANOSECONDS)


def adam_step(
    params, grads, exp_avg, exp_avg_sq, max_avg_sq, double lr, double beta1, double beta2, eps, double weight_decay,
    decoupled, double step
):
    cdef cnnx_step rule
    moments(&rule, lr, beta1, beta2, eps, weight_decay, decoupled, step)
    rule.lr = lr / (1 - pow(beta1, step))
    walk(
        <Task>adam_task[float], <Task>adam_task[double], &rule, params, grads, (exp_avg, exp_avg_sq, max_avg_sq),
        ADAM_NANOSECONDS,
    )


def nadam_step(
    params, grads, exp_avg, exp_avg_sq, double lr, double beta1, double beta2, eps, double weight_decay, decoupled,
    double mu, double mu_next, double mu_product, double step
):
    cdef cnnx_step rule
    moments(&rule, lr, beta1, beta2, eps, weight_decay, decoupled, step)
    rule.grad_lr, rule.lr = lr * (1 - mu) / (1 - mu_product), lr * mu_next / (1 - mu_product * mu_next)
    walk(
        <Task>nadam_task[float], <Task>nadam_task[double], &rule, params, grads, (exp_avg, exp_avg_sq),
        ADAM_NANOSECONDS,
    )


cdef void moments(
    cnnx_step *rule, double lr, double beta1, double beta2, double eps, double weight_decay, bint decoupled, double step
) noexcept:
    """What the methods with two moments of the gradient have in common."""
    rule.eps, rule.weight_decay, rule.keep = eps, weight_decay, 1
    if decoupled:
        rule.weight_decay, rule.keep = 0, 1 - lr * weight_decay
    rule.one_minus_beta1, rule.beta2, rule.one_minus_beta2 = 1 - beta1, beta2, 1 - beta2
    rule.root_scale = pow(1 - pow(beta2, step), -0.5)


def ema_step(averages, values, double decay):
    cdef cnnx_step rule
    rule.share = 1 - decay
    walk(<Task>ema_task[float], <Task>ema_task[double], &rule, averages, values, (), EMA_NANOSECONDS)


cdef int walk(
    Task of_floats, Task of_doubles, const cnnx_step *step, list params, list grads, tuple states, double nanoseconds
) except -1:
    """Update all parameters; nanoseconds is what an element takes."""
    cdef Py_ssize_t size = 0, count = len(params), tasks, i
    for i in range(count):
        size += size_of(params[i])
    cdef Block block = take((size // PIECE + count) * sizeof(Piece))
    cdef Walk job
    job.pieces, job.step = <Piece *>block.data, step[0]
    tasks = cut(params, grads, states, <Piece *>block.data)
    if tasks:
        run_tasks(of_floats if is_single(params[0]) else of_doubles, &job, tasks, EVENLY, nanoseconds * size)
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


cdef void sgd_task(const Walk *walk, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef const Piece *piece = &walk.pieces[task]
    kernels_for(scratch).sgd(
        &walk.step, piece.n, <real *>piece.param, <const real *>piece.grad, <real *>piece.state[0]
    )


cdef void rmsprop_task(const Walk *walk, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef const Piece *piece = &walk.pieces[task]
    kernels_for(scratch).rmsprop(
        &walk.step, piece.n, <real *>piece.param, <const real *>piece.grad, <real *>piece.state[0],
        <real *>piece.state[1], <real *>piece.state[2],
    )


cdef void adagrad_task(const Walk *walk, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef const Piece *piece = &walk.pieces[task]
    kernels_for(scratch).adagrad(
        &walk.step, piece.n, <real *>piece.param, <const real *>piece.grad, <real *>piece.state[0]
    )


cdef void adam_task(const Walk *walk, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef const Piece *piece = &walk.pieces[task]
    kernels_for(scratch).adam(
        &walk.step, piece.n, <real *>piece.param, <const real *>piece.grad, <real *>piece.state[0],
        <real *>piece.state[1], <real *>piece.state[2],
    )


cdef void nadam_task(const Walk *walk, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef const Piece *piece = &walk.pieces[task]
    kernels_for(scratch).nadam(
        &walk.step, piece.n, <real *>piece.param, <const real *>piece.grad, <real *>piece.state[0],
        <real *>piece.state[1],
    )


cdef void ema_task(const Walk *walk, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef const Piece *piece = &walk.pieces[task]
    kernels_for(scratch).ema(piece.n, <real>walk.step.share, <real *>piece.param, <const real *>piece.grad)
