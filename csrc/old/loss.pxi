# Losses. Each task leaves its part of the loss in a table, and the parts are added in order: the same bits for any
# number of threads.
#
# Design:
# A loss and its gradient are made together, while a row or a piece is in the cache. For cross-entropy, with q the
# weighted, smoothed target of a sample and z = x - (the largest x): its loss is the sum of q * (log(sum of exp z) - z),
# its gradient softmax(x) * (sum of q) - q. Where the target is a label, without smoothing, q is one number.

cdef enum:
    ELEMENTS_PER_PART = 4096
    MSE, BCE, BCE_WITH_LOGITS


def cross_entropy(logits, target, weight, label_smoothing, reduction):
    labels, target = (target, None) if target.ndim == 1 else (None, target)
    cdef Py_ssize_t n = logits.shape[0], k = logits.shape[1]
    cdef double loss, m = 1, smoothing = label_smoothing
    if reduction == "mean":
        m = weight[labels].sum(dtype=np.float64) if labels is not None and weight is not None else n
    dlogits = empty_like(logits)
    if is_single(logits):
        loss = _cross_entropy(
            n, k, <const float *>data_of(logits), <const int64_t *>data_of(labels), <const float *>data_of(target),
            <const float *>data_of(weight), smoothing, m, <float *>data_of(dlogits),
        )
    else:
        loss = _cross_entropy(
            n, k, <const double *>data_of(logits), <const int64_t *>data_of(labels), <const double *>data_of(target),
            <const double *>data_of(weight), smoothing, m, <double *>data_of(dlogits),
        )
    return loss, dlogits


cdef double _cross_entropy(
    Py_ssize_t n, Py_ssize_t k,
    const real *logits,                 # IN   (n, k)
    const int64_t *labels,              # IN   (n,), or NULL
    const real *target,                 # IN   (n, k), or NULL: the other one
    const real *weight,                 # IN   (k,), or NULL
    double smoothing,
    double m,
    real *dlogits,                      # OUT  (n, k)
) except? -1:
    cdef Block block = take(n * sizeof(double))
    cdef double *parts = <double *>block.data
    cdef Py_ssize_t samples = CNNX_ACROSS if k <= SHORT_VECTOR else 1, task, i
    cdef int threads = threads_for(1.5 * n * k)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(n, samples), schedule="static"):
            i = task * samples
            cross_entropy_task(
                min(samples, n - i), k, logits + i * k, labels + i if labels != NULL else NULL,
                target + i * k if target != NULL else NULL, weight, smoothing, m, dlogits + i * k, parts + i,
            )
        restore_denormals()
    return sum_of_parts(n, parts) / m


cdef double sum_of_parts(Py_ssize_t n, const double *parts) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(n):
        total += parts[i]
    return total


cdef void cross_entropy_task(
    Py_ssize_t n, Py_ssize_t k, const real *logits, const int64_t *labels, const real *target, const real *weight,
    double smoothing, double m, real *dlogits, double *losses,
) noexcept nogil:
    """Some samples: one, or several short ones."""
    cdef real turned[SHORT_VECTOR * CNNX_ACROSS]
    cdef real tops[CNNX_ACROSS]
    cdef Py_ssize_t i
    if k <= SHORT_VECTOR:
        kernels_for(logits).turn(k, n, logits, turned)
        kernels_for(logits).softmax_across(k, n, CNNX_ACROSS, turned, turned, tops, losses)
        kernels_for(logits).turn_back(k, n, turned, dlogits)
    else:
        losses[0] = kernels_for(logits).softmax(k, logits, dlogits, tops)
    for i in range(n):
        losses[i] = finish_sample(
            k, logits + i * k, labels[i] if labels != NULL else -1, target + i * k if target != NULL else NULL, weight,
            smoothing, m, tops[i], losses[i], dlogits + i * k,
        )


cdef double finish_sample(
    Py_ssize_t k, const real *logits, Py_ssize_t label, const real *target, const real *weight, double smoothing,
    double m, double top, double log_sum, real *dlogits,
) noexcept nogil:
    """Loss of one sample. dlogits comes as softmax(logits), top is the largest, log_sum that of exp(logits - top)."""
    cdef double loss = 0, q, q_sum = 0
    cdef real p
    cdef Py_ssize_t j
    if target == NULL and smoothing == 0:
        q, p = weight[label] if weight != NULL else 1, dlogits[label]
        kernels_for(logits).affine(k, dlogits, 0, <real>(q / m), 0, dlogits)
        dlogits[label] = <real>((p - 1) * q / m)
        return q * (log_sum - (logits[label] - top)) if q != 0 else 0
    for j in range(k):
        q = weighted_target(j, label, target, weight, smoothing, k)
        q_sum += q
        if q != 0:
            loss += q * (log_sum - (logits[j] - top))
    for j in range(k):
        q = weighted_target(j, label, target, weight, smoothing, k)
        dlogits[j] = <real>((dlogits[j] * q_sum - q) / m)
    return loss


cdef inline double weighted_target(
    Py_ssize_t j, Py_ssize_t label, const real *target, const real *weight, double smoothing, Py_ssize_t k
) noexcept nogil:
    cdef double t = target[j] if target != NULL else j == label
    return (weight[j] if weight != NULL else 1) * ((1 - smoothing) * t + smoothing / k)


def mse(pred, target, reduction):
    return pairwise_loss(MSE, pred, target, reduction)


def bce(pred, target, reduction):
    return pairwise_loss(BCE, pred, target, reduction)


def bce_with_logits(logits, target, reduction):
    return pairwise_loss(BCE_WITH_LOGITS, logits, target, reduction)


cdef object pairwise_loss(int form, pred, target, reduction):
    cdef Py_ssize_t n = size_of(pred)
    cdef double loss, m = n if reduction == "mean" else 1
    dpred = empty_like(pred)
    if is_single(pred):
        loss = _pairwise_loss(
            form, n, <const float *>data_of(pred), <const float *>data_of(target), m, <float *>data_of(dpred)
        )
    else:
        loss = _pairwise_loss(
            form, n, <const double *>data_of(pred), <const double *>data_of(target), m, <double *>data_of(dpred)
        )
    return loss, dpred


cdef double _pairwise_loss(
    int form,
    Py_ssize_t n,
    const real *pred,                   # IN
    const real *target,                 # IN   as pred
    double m,
    real *dpred,                        # OUT  as pred
) except? -1:
    cdef Py_ssize_t parts = ceil_div(n, ELEMENTS_PER_PART), part, i
    cdef Block block = take(parts * sizeof(double))
    cdef double *losses = <double *>block.data
    cdef int threads = threads_for((0.5 if form == MSE else 1.5) * n)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for part in prange(parts, schedule="static"):
            i = part * ELEMENTS_PER_PART
            losses[part] = pairwise_loss_part(
                form, min(<Py_ssize_t>ELEMENTS_PER_PART, n - i), pred + i, target + i, m, dpred + i
            )
        restore_denormals()
    return sum_of_parts(parts, losses) / m


cdef double pairwise_loss_part(
    int form, Py_ssize_t n, const real *pred, const real *target, double m, real *dpred
) noexcept nogil:
    if form == BCE:
        return kernels_for(pred).bce(n, pred, target, <real>(1 / m), dpred)
    if form == BCE_WITH_LOGITS:
        return kernels_for(pred).bce_with_logits(n, pred, target, <real>(1 / m), dpred)
    kernels_for(pred).scaled_difference(n, pred, target, <real>(2 / m), dpred)
    return kernels_for(pred).squared_distance(n, pred, target)
