# Optimiser steps, in place: a task is one piece of the arrays. Formulas and sources in backends/reference/optim.py.

cdef enum:
    STEP_PIECE = 1 << 13        # elements: 32 kB of each of the arrays


def sgd_step(param, grad, velocity, lr, momentum, weight_decay, nesterov):
    _sgd_step(flat(param), flat(grad), flat(velocity), lr, momentum, weight_decay, nesterov)


def rmsprop_step(param, grad, square_avg, grad_avg, velocity, lr, alpha, eps, weight_decay, momentum):
    _rmsprop_step(
        flat(param), flat(grad), flat(square_avg), flat(grad_avg), flat(velocity), lr, alpha, eps, weight_decay, momentum
    )


def adagrad_step(param, grad, sum_sq, lr, eps, weight_decay):
    _adagrad_step(flat(param), flat(grad), flat(sum_sq), lr, eps, weight_decay)


def adam_step(param, grad, exp_avg, exp_avg_sq, lr, beta1, beta2, eps, weight_decay, step):
    _adam_step(
        flat(param), flat(grad), flat(exp_avg), flat(exp_avg_sq), lr / (1 - beta1**step), 1 - beta1, beta2, 1 - beta2,
        eps, weight_decay, (1 - beta2**step) ** 0.5,
    )


cdef object flat(x):
    """The same memory, one-dimensional; the gate has made sure that it is contiguous."""
    return None if x is None else x.reshape(-1)


cdef inline real *piece(real[::1] x, Py_ssize_t task) noexcept nogil:
    return &x[task * STEP_PIECE] if x is not None else NULL


cdef inline Py_ssize_t piece_size(Py_ssize_t size, Py_ssize_t task) noexcept nogil:
    return min(<Py_ssize_t>STEP_PIECE, size - task * STEP_PIECE)


def _sgd_step(
    real[::1] param, const real[::1] grad, real[::1] velocity,
    real lr, real momentum, real weight_decay, bint nesterov,
):
    cdef Py_ssize_t n = param.shape[0], task
    cdef int threads = threads_for(0.5 * n)
    for task in prange(ceil_div(n, STEP_PIECE), nogil=True, schedule="static", num_threads=threads):
        kernels_for(&param[0]).sgd(
            piece_size(n, task), piece(param, task), &grad[task * STEP_PIECE], piece(velocity, task),
            lr, momentum, weight_decay, nesterov,
        )


def _rmsprop_step(
    real[::1] param, const real[::1] grad, real[::1] square_avg, real[::1] grad_avg, real[::1] velocity,
    real lr, double alpha, real eps, real weight_decay, real momentum,
):
    cdef Py_ssize_t n = param.shape[0], task
    cdef int threads = threads_for(0.8 * n)
    for task in prange(ceil_div(n, STEP_PIECE), nogil=True, schedule="static", num_threads=threads):
        kernels_for(&param[0]).rmsprop(
            piece_size(n, task), piece(param, task), &grad[task * STEP_PIECE], piece(square_avg, task),
            piece(grad_avg, task), piece(velocity, task),
            lr, <real>alpha, <real>(1 - alpha), eps, weight_decay, momentum,
        )


def _adagrad_step(
    real[::1] param, const real[::1] grad, real[::1] sum_sq, real lr, real eps, real weight_decay
):
    cdef Py_ssize_t n = param.shape[0], task
    cdef int threads = threads_for(0.6 * n)
    for task in prange(ceil_div(n, STEP_PIECE), nogil=True, schedule="static", num_threads=threads):
        kernels_for(&param[0]).adagrad(
            piece_size(n, task), piece(param, task), &grad[task * STEP_PIECE], piece(sum_sq, task), lr, eps, weight_decay
        )


def _adam_step(
    real[::1] param, const real[::1] grad, real[::1] exp_avg, real[::1] exp_avg_sq,
    real step_size, real one_minus_beta1, real beta2, real one_minus_beta2, real eps, real weight_decay,
    real root_correction,
):
    cdef Py_ssize_t n = param.shape[0], task
    cdef int threads = threads_for(0.8 * n)
    for task in prange(ceil_div(n, STEP_PIECE), nogil=True, schedule="static", num_threads=threads):
        kernels_for(&param[0]).adam(
            piece_size(n, task), piece(param, task), &grad[task * STEP_PIECE], piece(exp_avg, task),
            piece(exp_avg_sq, task),
            step_size, one_minus_beta1, beta2, one_minus_beta2, eps, weight_decay, root_correction,
        )
