# Losses. Each task leaves its part of the loss in a table, and the parts are added in order: the same bits for any number
# of threads.

from libc.math cimport exp, fabs, log, log1p

cdef enum:
    ELEMENTS_PER_PART = 4096
    BCE, BCE_WITH_LOGITS


def cross_entropy(logits, target, weight, label_smoothing, reduction):
    n, classes = logits.shape
    if weight is None:
        weight = np.ones(classes, logits.dtype)
    labels = target.ndim == 1
    m = 1.0
    if reduction == "mean":
        m = float(weight[target].sum(dtype=np.float64)) if labels else float(n)
    dlogits, parts = empty_like(logits), np.empty(n)
    _cross_entropy(
        logits, target if labels else None, None if labels else target, weight, label_smoothing, m, dlogits, parts
    )
    # As NumPy does it: without any weight, the mean is nan.
    return float(np.divide(parts.sum(), m)), dlogits


def _cross_entropy(
    const real[:, ::1] logits,          # IN   (n, k)
    const int64_t[::1] labels,          # IN   (n,), or None
    const real[:, ::1] target,          # IN   (n, k), or None: the other one
    const real[::1] weight,             # IN   (k,)
    double smoothing,
    double m,
    real[:, ::1] dlogits,               # OUT  (n, k)
    double[::1] parts,                  # OUT  (n,): loss of each sample
):
    cdef Py_ssize_t n = logits.shape[0], k = logits.shape[1], i
    cdef const real *target0 = &target[0, 0] if target is not None else NULL
    cdef int threads = threads_for(3.0 * n * k)
    for i in prange(n, nogil=True, schedule="static", num_threads=threads):
        parts[i] = sample_cross_entropy(
            k, &logits[i, 0], labels[i] if labels is not None else -1, target0 + i * k if target0 != NULL else NULL,
            &weight[0], smoothing, m, &dlogits[i, 0],
        )


cdef double sample_cross_entropy(
    Py_ssize_t k, const real *logits, Py_ssize_t label, const real *target, const real *weight, double smoothing,
    double m, real *dlogits,
) noexcept nogil:
    """Loss of one sample; its gradient: exp(log p) * (sum of q) - q, all divided by m."""
    cdef double loss = 0, q, q_sum = 0
    cdef Py_ssize_t j
    kernels_for(logits).log_softmax(k, logits, dlogits)
    for j in range(k):
        q = weighted_target(j, label, target, weight, smoothing, k)
        q_sum += q
        if q != 0:
            loss -= q * dlogits[j]
    kernels_for(logits).softmax(k, logits, dlogits)
    for j in range(k):
        q = weighted_target(j, label, target, weight, smoothing, k)
        dlogits[j] = <real>((dlogits[j] * q_sum - q) / m)
    return loss


cdef inline double weighted_target(
    Py_ssize_t j, Py_ssize_t label, const real *target, const real *weight, double smoothing, Py_ssize_t k
) noexcept nogil:
    cdef double t = target[j] if target != NULL else j == label
    return weight[j] * ((1 - smoothing) * t + smoothing / k)


def mse(pred, target, reduction):
    dpred, parts = empty_like(pred), np.empty(-(-pred.size // ELEMENTS_PER_PART))
    m = pred.size if reduction == "mean" else 1
    _mse(pred.reshape(-1), target.reshape(-1), m, dpred.reshape(-1), parts)
    return float(parts.sum() / m), dpred


def _mse(
    const real[::1] pred,               # IN
    const real[::1] target,             # IN   as pred
    double m,
    real[::1] dpred,                    # OUT  as pred
    double[::1] parts,                  # OUT  sums of squares
):
    cdef Py_ssize_t size = pred.shape[0], part, n, first
    cdef int threads = threads_for(0.5 * size)
    for part in prange(parts.shape[0], nogil=True, schedule="static", num_threads=threads):
        first = part * ELEMENTS_PER_PART
        n = min(<Py_ssize_t>ELEMENTS_PER_PART, size - first)
        parts[part] = kernels_for(&pred[0]).squared_distance(n, &pred[first], &target[first])
        kernels_for(&pred[0]).scaled_difference(n, &pred[first], &target[first], <real>(2 / m), &dpred[first])


def bce(pred, target, reduction):
    return binary_cross_entropy(BCE, pred, target, reduction)


def bce_with_logits(logits, target, reduction):
    return binary_cross_entropy(BCE_WITH_LOGITS, logits, target, reduction)


cdef object binary_cross_entropy(int form, pred, target, reduction):
    dpred, parts = empty_like(pred), np.empty(-(-pred.size // ELEMENTS_PER_PART))
    m = pred.size if reduction == "mean" else 1
    _binary_cross_entropy(form, pred.reshape(-1), target.reshape(-1), m, dpred.reshape(-1), parts)
    return float(parts.sum() / m), dpred


def _binary_cross_entropy(
    int form,
    const real[::1] pred,               # IN
    const real[::1] target,             # IN   as pred
    double m,
    real[::1] dpred,                    # OUT  as pred
    double[::1] parts,                  # OUT  sums of the loss
):
    cdef Py_ssize_t size = pred.shape[0], part, first
    cdef int threads = threads_for(10.0 * size)
    for part in prange(parts.shape[0], nogil=True, schedule="static", num_threads=threads):
        first = part * ELEMENTS_PER_PART
        parts[part] = binary_cross_entropy_part(
            form, min(<Py_ssize_t>ELEMENTS_PER_PART, size - first), &pred[first], &target[first], m, &dpred[first]
        )


cdef double binary_cross_entropy_part(
    int form, Py_ssize_t n, const real *pred, const real *target, double m, real *dpred
) noexcept nogil:
    """Formulas in backends/reference/loss.py."""
    cdef double loss = 0, x, t, e
    cdef Py_ssize_t i
    for i in range(n):
        x, t = pred[i], target[i]
        if form == BCE:
            loss -= t * at_least(log(x), -100) + (1 - t) * at_least(log1p(-x), -100)
            dpred[i] = <real>((x - t) / at_least(x * (1 - x), 1e-12) / m)
        else:
            e = exp(-fabs(x))
            loss += at_least(x, 0) - x * t + log1p(e)
            dpred[i] = <real>(((e if x < 0 else 1) / (1 + e) - t) / m)
    return loss


cdef inline double at_least(double x, double least) noexcept nogil:
    """max(x, least); NaN stays NaN."""
    return least if x < least else x
