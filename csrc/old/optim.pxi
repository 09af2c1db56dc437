# Optimiser steps, in place, all parameters in one call. Formulas and sources in backends/reference/optim.py.
#
# Design:
# A parameter is an array of its own; its state is a piece of flat arrays, where one parameter follows the other. Each
# call cuts all of them into pieces of at most STEP_PIECE elements and writes down where each lies, in a table that
# the threads then share out: so a small network is one short loop, and a large weight is spread over all threads. The
# table is made anew at every call, for arrays may have been replaced since: that costs a few nanoseconds a piece.

cdef enum:
    STEP_PIECE = 1 << 12        # elements: 16 kB of each of the arrays
    MOST_STATES = 3

cdef enum Method:
    SGD, RMSPROP, ADAGRAD, ADAM

cdef struct Piece:              # of one parameter
    Py_ssize_t n
    char *param
    const char *grad
    char *state[MOST_STATES]    # NULL: not there

cdef struct Rule:               # a method and its numbers, those that it has
    Method method
    double lr, momentum, weight_decay, alpha, eps, one_minus_beta1, beta2, one_minus_beta2, root_scale
    bint nesterov


def sgd_step(params, grads, velocity, lr, momentum, weight_decay, nesterov):
    cdef Rule rule
    rule.method, rule.lr, rule.weight_decay = SGD, lr, weight_decay
    rule.momentum, rule.nesterov = momentum, nesterov
    take_step(params, grads, (velocity,), &rule, 0.5)


def rmsprop_step(params, grads, square_avg, grad_avg, velocity, lr, alpha, eps, weight_decay, momentum):
    cdef Rule rule
    rule.method, rule.lr, rule.weight_decay, rule.eps = RMSPROP, lr, weight_decay, eps
    rule.alpha, rule.momentum = alpha, momentum
    take_step(params, grads, (square_avg, grad_avg, velocity), &rule, 0.8)


def adagrad_step(params, grads, sum_sq, lr, eps, weight_decay):
    cdef Rule rule
    rule.method, rule.lr, rule.weight_decay, rule.eps = ADAGRAD, lr, weight_decay, eps
    take_step(params, grads, (sum_sq,), &rule, 0.6)


def adam_step(params, grads, exp_avg, exp_avg_sq, lr, beta1, beta2, eps, weight_decay, step):
    cdef Rule rule
    rule.method, rule.lr, rule.weight_decay, rule.eps = ADAM, lr / (1 - beta1**step), weight_decay, eps
    rule.one_minus_beta1, rule.beta2, rule.one_minus_beta2 = 1 - beta1, beta2, 1 - beta2
    rule.root_scale = (1 - beta2**step) ** -0.5
    take_step(params, grads, (exp_avg, exp_avg_sq), &rule, 0.8)


cdef int take_step(list params, list grads, tuple states, const Rule *rule, double nanoseconds) except -1:
    """Walk over all parameters; nanoseconds is what an element takes."""
    cdef Py_ssize_t size = 0, task
    for param in params:
        size += size_of(param)
    cdef Block block = take((size // STEP_PIECE + len(params)) * sizeof(Piece))
    cdef Piece *table = <Piece *>block.data
    cdef Py_ssize_t tasks = cut(params, grads, states, table)
    cdef bint single = tasks > 0 and is_single(params[0])
    cdef int threads = threads_for(nanoseconds * size)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(tasks, schedule="static"):
            if single:
                step_piece(rule, &table[task], <float *>table[task].param)
            else:
                step_piece(rule, &table[task], <double *>table[task].param)
        restore_denormals()


cdef Py_ssize_t cut(list params, list grads, tuple states, Piece *table) except -1:
    """Fill the table: the pieces of all parameters that have a gradient. Returns their number."""
    cdef Py_ssize_t tasks = 0, start = 0, size, done, item, s
    cdef char *param
    cdef const char *grad
    cdef char *state[MOST_STATES]
    for s in range(MOST_STATES):
        state[s] = <char *>data_of(states[s]) if s < len(states) else NULL
    for i in range(len(params)):
        size, item = size_of(params[i]), cnp.PyArray_ITEMSIZE(<cnp.ndarray>params[i])
        if grads[i] is not None:
            param, grad = <char *>data_of(params[i]), <char *>data_of(grads[i])
            for done in range(0, size, STEP_PIECE):
                table[tasks].n = min(<Py_ssize_t>STEP_PIECE, size - done)
                table[tasks].param, table[tasks].grad = param + done * item, grad + done * item
                for s in range(MOST_STATES):
                    table[tasks].state[s] = state[s] + (start + done) * item if state[s] != NULL else NULL
                tasks += 1
        start += size
    return tasks


cdef void step_piece(const Rule *rule, const Piece *piece, real *param) noexcept nogil:
    if rule.method == SGD:
        kernels_for(param).sgd(
            piece.n, param, <const real *>piece.grad, <real *>piece.state[0],
            rule.lr, rule.momentum, rule.weight_decay, rule.nesterov,
        )
    elif rule.method == RMSPROP:
        kernels_for(param).rmsprop(
            piece.n, param, <const real *>piece.grad, <real *>piece.state[0], <real *>piece.state[1],
            <real *>piece.state[2],
            rule.lr, <real>rule.alpha, <real>(1 - rule.alpha), rule.eps, rule.weight_decay, rule.momentum,
        )
    elif rule.method == ADAGRAD:
        kernels_for(param).adagrad(
            piece.n, param, <const real *>piece.grad, <real *>piece.state[0], rule.lr, rule.eps, rule.weight_decay
        )
    else:
        kernels_for(param).adam(
            piece.n, param, <const real *>piece.grad, <real *>piece.state[0], <real *>piece.state[1],
            rule.lr, rule.one_minus_beta1, rule.beta2, rule.one_minus_beta2, rule.eps, rule.weight_decay,
            rule.root_scale,
        )
