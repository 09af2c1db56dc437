"""Losses. Each task leaves its part of the loss in a table, and the parts are added in order: the same bits for any
number of threads.

# Design:
# A loss and its gradient are made together, while a row or a piece is in the cache. For cross-entropy, with q the
# weighted, smoothed target of a sample and z = x - (the largest x): its loss is the sum of q * (log(sum of exp z) - z),
# its gradient softmax(x) * (sum of q) - q. Where the target is a label, without smoothing, q is one number; and the
# focal loss is a function of the cross-entropy c of that case, alpha * (1 - exp(-c))^gamma * c, so that its gradient is
# that of c times the derivative of this function.
# Labels that are ignored come as -1. A loss without reduction is stored for each sample or pair, as is its gradient.
"""

from libc.math cimport exp, expm1, pow
from libc.stdint cimport int64_t
from libc.string cimport memset

import numpy as np

from arrays cimport data_of, is_single, ndim_of, shape_of, size_of
from costs cimport BCE_NANOSECONDS, CROSS_ENTROPY_NANOSECONDS, MEMORY_NANOSECONDS, MSE_NANOSECONDS
from kernels cimport CNNX_ACROSS, kernels_for, real
from .activation cimport SHORT_VECTOR
from .memory cimport Block, empty_like, take
from .parallel cimport EVENLY, Task, ceil_div, run_tasks

cdef enum:
    LARGE_LOSS = 1000               # exp(-loss) is 0
    ELEMENTS_PER_PART = 4096        # so few that a sum in lanes of floats stays exact to a few bits

cdef struct CrossEntropy:
    Py_ssize_t n, k
    const void *logits              # IN   (n, k)
    const int64_t *labels           # IN   (n,), or NULL
    const void *target              # IN   (n, k), or NULL: one of the two
    const void *weight              # IN   (k,), or NULL
    double smoothing, gamma         # gamma: of the focal loss; 0: cross-entropy
    double m                        # divides the sum over the samples
    void *dlogits                   # OUT  (n, k)
    double *losses                  # OUT  (n,)


def cross_entropy(logits, target, weight, label_smoothing, reduction):
    cdef Py_ssize_t kept = shape_of(logits)[0]
    labels, target = (target, None) if ndim_of(target) == 1 else (None, target)
    if labels is not None:
        kept = count_kept(labels)
    if reduction == "mean" and labels is not None and weight is not None:
        if kept < shape_of(logits)[0]:
            labels_kept = labels[labels >= 0]
        else:
            labels_kept = labels
        return samples_loss(
            logits, labels, target, weight, label_smoothing, 0, weight[labels_kept].sum(dtype=np.float64), reduction
        )
    return samples_loss(logits, labels, target, weight, label_smoothing, 0, kept, reduction)


def focal(logits, target, gamma, alpha, reduction):
    return samples_loss(logits, target, None, alpha, 0, gamma, count_kept(target), reduction)


cdef object samples_loss(
    logits, labels, target, weight, double smoothing, double gamma, double divisor, reduction
):
    """Cross-entropy or focal loss; the divisor is that of "mean"."""
    cdef CrossEntropy job
    cdef Block losses
    cdef Py_ssize_t i
    job.n, job.k = shape_of(logits)[0], shape_of(logits)[1]
    job.smoothing, job.gamma, job.m = smoothing, gamma, 1
    if reduction == "mean" and divisor != 0:
        job.m = divisor
    dlogits, losses = empty_like(logits), take(job.n * sizeof(double))
    job.logits, job.labels, job.target = data_of(logits), <const int64_t *>data_of(labels), data_of(target)
    job.weight, job.dlogits, job.losses = data_of(weight), data_of(dlogits), <double *>losses.data
    run_tasks(
        <Task>samples_task[float] if is_single(logits) else <Task>samples_task[double], &job,
        ceil_div(job.n, CNNX_ACROSS) if job.k <= SHORT_VECTOR else job.n, EVENLY,
        CROSS_ENTROPY_NANOSECONDS * job.n * job.k,
    )
    if reduction == "none":
        return each_loss(job.n, job.losses, logits), dlogits
    return sum_of_parts(job.n, job.losses) / job.m, dlogits


cdef object each_loss(Py_ssize_t n, const double *losses, like):
    """An array of one dtype with another."""
    each = np.empty(n, like.dtype)
    cdef float *single = <float *>data_of(each)
    cdef double *wide = <double *>data_of(each)
    cdef bint is_float = is_single(like)
    cdef Py_ssize_t i
    for i in range(n):
        if is_float:
            single[i] = <float>losses[i]
        else:
            wide[i] = losses[i]
    return each


cdef Py_ssize_t count_kept(labels):
    """The number of labels that are not ignored."""
    cdef const int64_t *label = <const int64_t *>data_of(labels)
    cdef Py_ssize_t kept = 0, i
    for i in range(size_of(labels)):
        kept += label[i] >= 0
    return kept


def nll(log_p, target, weight, reduction):
    cdef Py_ssize_t kept = count_kept(target)
    cdef CrossEntropy job
    cdef Block losses
    job.n, job.k, job.m = shape_of(log_p)[0], shape_of(log_p)[1], 1
    if reduction == "mean":
        job.m = kept
        if weight is not None:
            job.m = (weight[target] if kept == job.n else weight[target[target >= 0]]).sum(dtype=np.float64)
        if job.m == 0:
            job.m = 1
    dlog_p, losses = empty_like(log_p), take(job.n * sizeof(double))
    job.logits, job.labels, job.target = data_of(log_p), <const int64_t *>data_of(target), NULL
    job.weight, job.dlogits, job.losses = data_of(weight), data_of(dlog_p), <double *>losses.data
    run_tasks(
        <Task>nll_task[float] if is_single(log_p) else <Task>nll_task[double], &job,
        ceil_div(job.n, CNNX_ACROSS), EVENLY, MEMORY_NANOSECONDS * job.n * job.k,
    )
    if reduction == "none":
        return each_loss(job.n, job.losses, log_p), dlog_p
    return sum_of_parts(job.n, job.losses) / job.m, dlog_p


cdef void nll_task(const CrossEntropy *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some samples: zeros, with one number among them."""
    cdef Py_ssize_t first = task * CNNX_ACROSS, end = min(first + CNNX_ACROSS, job.n), i
    cdef const real *log_p = <const real *>job.logits
    cdef const real *weight = <const real *>job.weight
    cdef real *dlog_p = <real *>job.dlogits
    cdef double q
    memset(dlog_p + first * job.k, 0, (end - first) * job.k * sizeof(real))
    for i in range(first, end):
        job.losses[i] = 0
        if job.labels[i] >= 0:
            q = weight[job.labels[i]] if weight != NULL else 1
            job.losses[i] = -q * log_p[i * job.k + job.labels[i]] if q != 0 else 0
            dlog_p[i * job.k + job.labels[i]] = <real>(-q / job.m)


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
    cdef double loss = 0, q, q_sum = 0, far, slope
    cdef real p
    if target == NULL and label < 0:
        memset(dlogits, 0, k * sizeof(real))
        return 0
    if target == NULL and job.smoothing == 0:
        q, p = weight[label] if weight != NULL else 1, dlogits[label]
        if job.gamma != 0:
            loss = log_sum - (logits[label] - top)
            far, slope = -expm1(-loss), 1
            if far > 0:
                slope = loss / far
            slope = 1 + job.gamma * exp(-loss) * slope if loss < LARGE_LOSS else 1
            loss, far = loss * pow(far, job.gamma), pow(far, job.gamma)
            kernels_for(logits).affine(k, dlogits, 0, <real>(q * far * slope / job.m), 0, dlogits)
            dlogits[label] = <real>((p - 1) * (q * far * slope / job.m))
            return q * loss if q != 0 else 0
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
    MSE, L1, HUBER, BCE, BCE_WITH_LOGITS, BINARY_FOCAL

cdef struct Pairs:
    Form form
    Py_ssize_t n
    double m                        # divides the sum over the pairs
    double first, second            # delta and factor, or gamma and alpha
    const void *pred                # IN
    const void *target              # IN   as pred
    void *dpred                     # OUT  as pred
    void *each                      # OUT  as pred: the losses; NULL: only their sums
    double *losses                  # OUT  one of each part


def mse(pred, target, reduction):
    return pairwise_loss(MSE, pred, target, reduction, 0, 0)


def l1(pred, target, reduction):
    return pairwise_loss(L1, pred, target, reduction, 0, 0)


def huber(pred, target, delta, reduction):
    return pairwise_loss(HUBER, pred, target, reduction, delta, 1)


def smooth_l1(pred, target, beta, reduction):
    return pairwise_loss(HUBER, pred, target, reduction, beta, 1 / beta)


def bce(pred, target, reduction):
    return pairwise_loss(BCE, pred, target, reduction, 0, 0)


def bce_with_logits(logits, target, reduction):
    return pairwise_loss(BCE_WITH_LOGITS, logits, target, reduction, 0, 0)


def binary_focal(logits, target, gamma, alpha, reduction):
    return pairwise_loss(BINARY_FOCAL, logits, target, reduction, gamma, -1 if alpha is None else alpha)


cdef object pairwise_loss(Form form, pred, target, reduction, double first, double second):
    cdef Py_ssize_t n = size_of(pred), parts = ceil_div(n, ELEMENTS_PER_PART)
    cdef Block losses = take(parts * sizeof(double))
    dpred = empty_like(pred)
    each = empty_like(pred) if reduction == "none" else None
    cdef Pairs job = Pairs(
        form, n, n if reduction == "mean" else 1, first, second, data_of(pred), data_of(target), data_of(dpred),
        data_of(each), <double *>losses.data
    )
    run_tasks(
        <Task>pairs_task[float] if is_single(pred) else <Task>pairs_task[double], &job, parts, EVENLY,
        (MSE_NANOSECONDS if form <= HUBER else BCE_NANOSECONDS) * n,
    )
    return sum_of_parts(parts, job.losses) / job.m if each is None else each, dpred


cdef void pairs_task(const Pairs *job, Py_ssize_t part, real *scratch) noexcept nogil:
    cdef Py_ssize_t i = part * ELEMENTS_PER_PART, n = min(<Py_ssize_t>ELEMENTS_PER_PART, job.n - i)
    cdef const real *pred = <const real *>job.pred + i
    cdef const real *target = <const real *>job.target + i
    cdef real *dpred = <real *>job.dpred + i
    cdef real *each = <real *>job.each + i if job.each != NULL else NULL
    cdef real scale = <real>(1 / job.m), first = <real>job.first, second = <real>job.second
    if job.form == BCE:
        job.losses[part] = kernels_for(pred).bce(n, pred, target, scale, dpred, each)
    elif job.form == BCE_WITH_LOGITS:
        job.losses[part] = kernels_for(pred).bce_with_logits(n, pred, target, scale, dpred, each)
    elif job.form == BINARY_FOCAL:
        job.losses[part] = kernels_for(pred).binary_focal(n, pred, target, first, second, scale, dpred, each)
    elif job.form == L1:
        job.losses[part] = kernels_for(pred).absolute(n, pred, target, scale, dpred, each)
    elif job.form == HUBER:
        job.losses[part] = kernels_for(pred).huber(n, pred, target, first, second, scale, dpred, each)
    else:
        if each != NULL:
            kernels_for(pred).scaled_difference(n, pred, target, 1, each)
            kernels_for(pred).times(n, each, each, each)
        kernels_for(pred).scaled_difference(n, pred, target, <real>(2 / job.m), dpred)
        job.losses[part] = kernels_for(pred).squared_distance(n, pred, target)
