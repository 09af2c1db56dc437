"""Losses. Each task leaves its part of the loss in a table, and the parts are added in order: the same bits for any
number of threads.

# Design:
# A loss and its gradient are made together, while a row or a piece is in the cache. For cross-entropy, with q the
# weighted, smoothed target of a sample and z = x - (the largest x): its loss is the sum of q * (log(sum of exp z) - z),
# its gradient softmax(x) * (sum of q) - q. Where the target is a label, without smoothing, q is one number.
"""

from libc.stdint cimport int64_t

import numpy as np

from arrays cimport data_of, is_single, ndim_of, shape_of, size_of
from costs cimport BCE_NANOSECONDS, CROSS_ENTROPY_NANOSECONDS, MSE_NANOSECONDS
from kernels cimport CNNX_ACROSS, kernels_for, real
from .activation cimport SHORT_VECTOR
from .memory cimport Block, empty_like, take
from .parallel cimport EVENLY, Task, ceil_div, run_tasks

cdef enum:
    ELEMENTS_PER_PART = 4096        # so few that a sum in lanes of floats stays exact to a few bits

cdef struct CrossEntropy:
    Py_ssize_t n, k
    const void *logits              # IN   (n, k)
    const int64_t *labels           # IN   (n,), or NULL
    const void *target              # IN   (n, k), or NULL: one of the two
    const void *weight              # IN   (k,), or NULL
    double smoothing
    double m                        # divides the sum over the samples
    void *dlogits                   # OUT  (n, k)
    double *losses                  # OUT  (n,)


def cross_entropy(logits, target, weight, label_smoothing, reduction):
    cdef CrossEntropy job
    cdef Block losses
    labels, target = (target, None) if ndim_of(target) == 1 else (None, target)
    job.n, job.k = shape_of(logits)[0], shape_of(logits)[1]
    job.smoothing, job.m = label_smoothing, 1
    if reduction == "mean":
        job.m = weight[labels].sum(dtype=np.float64) if labels is not None and weight is not None else job.n
    dlogits, losses = empty_like(logits), take(job.n * sizeof(double))
    job.logits, job.labels, job.target = data_of(logits), <const int64_t *>data_of(labels), data_of(target)
    job.weight, job.dlogits, job.losses = data_of(weight), data_of(dlogits), <double *>losses.data
    run_tasks(
        <Task>samples_task[float] if is_single(logits) else <Task>samples_task[double], &job,
        ceil_div(job.n, CNNX_ACROSS) if job.k <= SHORT_VECTOR else job.n, EVENLY,
        CROSS_ENTROPY_NANOSECONDS * job.n * job.k,
    )
    return sum_of_parts(job.n, job.losses) / job.m, dlogits


cdef double sum_of_parts(Py_ssize_t n, const double *parts) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(n):
        total += parts[i]
    return total


cdef void samples_task(const CrossEntropy *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some samples: one, or several short ones, transposed so that they lie side by side."""
    cdef real transposed[SHORT_VECTOR * CNNX_ACROSS]
    cdef real tops[CNNX_ACROSS]
    cdef Py_ssize_t k = job.k, first = task * CNNX_ACROSS if k <= SHORT_VECTOR else task, n = 1, i
    cdef const real *logits = <const real *>job.logits + first * k
    cdef real *dlogits = <real *>job.dlogits + first * k
    cdef double *losses = job.losses + first
    if k <= SHORT_VECTOR:
        n = min(<Py_ssize_t>CNNX_ACROSS, job.n - first)
        kernels_for(logits).transpose_across(k, n, logits, transposed)
        kernels_for(logits).softmax_across(k, n, CNNX_ACROSS, transposed, transposed, tops, losses)
        kernels_for(logits).transpose_across_back(k, n, transposed, dlogits)
    else:
        losses[0] = kernels_for(logits).softmax(k, logits, dlogits, tops)
    for i in range(n):
        losses[i] = finish_sample(job, first + i, tops[i], losses[i], dlogits + i * k)


cdef double finish_sample(
    const CrossEntropy *job,
    Py_ssize_t i,
    double top,                     # the largest logit
    double log_sum,                 # of exp(logits - top)
    real *dlogits,                  # INOUT  (k,), the sample's: comes as softmax(logits)
) noexcept nogil:
    """Loss of one sample."""
    cdef Py_ssize_t k = job.k, label = job.labels[i] if job.labels != NULL else -1, j
    cdef const real *logits = <const real *>job.logits + i * k
    cdef const real *target = <const real *>job.target + i * k if job.target != NULL else NULL
    cdef const real *weight = <const real *>job.weight
    cdef double loss = 0, q, q_sum = 0
    cdef real p
    if target == NULL and job.smoothing == 0:
        q, p = weight[label] if weight != NULL else 1, dlogits[label]
        kernels_for(logits).affine(k, dlogits, 0, <real>(q / job.m), 0, dlogits)
        dlogits[label] = <real>((p - 1) * q / job.m)
        return q * (log_sum - (logits[label] - top)) if q != 0 else 0
    for j in range(k):
        q = weighted_target(job, j, label, target, weight)
        q_sum += q
        if q != 0:
            loss += q * (log_sum - (logits[j] - top))
    for j in range(k):
        q = weighted_target(job, j, label, target, weight)
        dlogits[j] = <real>((dlogits[j] * q_sum - q) / job.m)
    return loss


cdef inline double weighted_target(
    const CrossEntropy *job, Py_ssize_t j, Py_ssize_t label, const real *target, const real *weight
) noexcept nogil:
    cdef double t = target[j] if target != NULL else j == label
    return (weight[j] if weight != NULL else 1) * ((1 - job.smoothing) * t + job.smoothing / job.k)


# ----------------------------------------------------------------------------------------- losses of two arrays


cdef enum Form:
    MSE, BCE, BCE_WITH_LOGITS

cdef struct Pairs:
    Form form
    Py_ssize_t n
    double m                        # divides the sum over the pairs
    const void *pred                # IN
    const void *target              # IN   as pred
    void *dpred                     # OUT  as pred
    double *losses                  # OUT  one of each part


def mse(pred, target, reduction):
    return pairwise_loss(MSE, pred, target, reduction)


def bce(pred, target, reduction):
    return pairwise_loss(BCE, pred, target, reduction)


def bce_with_logits(logits, target, reduction):
    return pairwise_loss(BCE_WITH_LOGITS, logits, target, reduction)


cdef object pairwise_loss(Form form, pred, target, reduction):
    cdef Py_ssize_t n = size_of(pred), parts = ceil_div(n, ELEMENTS_PER_PART)
    cdef Block losses = take(parts * sizeof(double))
    dpred = empty_like(pred)
    cdef Pairs job = Pairs(
        form, n, n if reduction == "mean" else 1, data_of(pred), data_of(target), data_of(dpred), <double *>losses.data
    )
    run_tasks(
        <Task>pairs_task[float] if is_single(pred) else <Task>pairs_task[double], &job, parts, EVENLY,
        (MSE_NANOSECONDS if form == MSE else BCE_NANOSECONDS) * n,
    )
    return sum_of_parts(parts, job.losses) / job.m, dpred


cdef void pairs_task(const Pairs *job, Py_ssize_t part, real *scratch) noexcept nogil:
    cdef Py_ssize_t i = part * ELEMENTS_PER_PART, n = min(<Py_ssize_t>ELEMENTS_PER_PART, job.n - i)
    cdef const real *pred = <const real *>job.pred + i
    cdef const real *target = <const real *>job.target + i
    cdef real *dpred = <real *>job.dpred + i
    if job.form == BCE:
        job.losses[part] = kernels_for(pred).bce(n, pred, target, <real>(1 / job.m), dpred)
    elif job.form == BCE_WITH_LOGITS:
        job.losses[part] = kernels_for(pred).bce_with_logits(n, pred, target, <real>(1 / job.m), dpred)
    else:
        kernels_for(pred).scaled_difference(n, pred, target, <real>(2 / job.m), dpred)
        job.losses[part] = kernels_for(pred).squared_distance(n, pred, target)
