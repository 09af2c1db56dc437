# Activations.
#
# Design:
# All of them walk through memory in one of two ways, so there are two drivers: `_elements`, whose task is a piece of the
# flat array, and `_vectors` for softmax, whose task is one vector, or, along an axis that is not the last, CNNX_ACROSS of
# them side by side. Which kernel to call for a task is a number, looked up once per task.

cdef enum Function:
    RELU, RELU6, LEAKY_RELU, SIGMOID, TANH, SOFTMAX, LOG_SOFTMAX

cdef enum:
    ELEMENTS_PER_TASK = 1 << 14     # 64 kB of floats: enough to be worth a call, few enough to share out

cdef double MEMORY_NANOSECONDS = 0.3        # an element read and written
cdef double EXPONENTIAL_NANOSECONDS = 1.0


def relu(x):
    return elementwise(RELU, x, None, 0)


def relu_backward(dy, y):
    return elementwise(RELU, dy, y, 0)


def relu6(x):
    return elementwise(RELU6, x, None, 0)


def relu6_backward(dy, y):
    return elementwise(RELU6, dy, y, 0)


def leaky_relu(x, negative_slope):
    return elementwise(LEAKY_RELU, x, None, negative_slope)


def leaky_relu_backward(dy, x, negative_slope):
    return elementwise(LEAKY_RELU, dy, x, negative_slope)


def sigmoid(x):
    return elementwise(SIGMOID, x, None, 0)


def sigmoid_backward(dy, y):
    return elementwise(SIGMOID, dy, y, 0)


def tanh(x):
    return elementwise(TANH, x, None, 0)


def tanh_backward(dy, y):
    return elementwise(TANH, dy, y, 0)


def softmax(x, axis):
    return vectorwise(SOFTMAX, x, None, axis)


def softmax_backward(dy, y, axis):
    return vectorwise(SOFTMAX, dy, y, axis)


def log_softmax(x, axis):
    return vectorwise(LOG_SOFTMAX, x, None, axis)


def log_softmax_backward(dy, y, axis):
    return vectorwise(LOG_SOFTMAX, dy, y, axis)


cdef object elementwise(Function function, x, saved, double slope):
    """y = f(x), or, with what forward saved, dx from dy = x."""
    y = empty_like(x)
    if x.size:
        _elements(function, x.reshape(-1), None if saved is None else saved.reshape(-1), slope, y.reshape(-1))
    return y


def _elements(
    Function function,
    const real[::1] x,              # IN
    const real[::1] saved,          # IN   as x, or None: forward
    double slope,
    real[::1] y,                    # OUT  as x
):
    cdef Py_ssize_t n = x.shape[0], tasks = ceil_div(n, ELEMENTS_PER_TASK), task
    cdef const real *saved0 = &saved[0] if saved is not None else NULL
    cdef bint exponential = saved is None and function in (SIGMOID, TANH)
    cdef int threads = threads_for((EXPONENTIAL_NANOSECONDS if exponential else MEMORY_NANOSECONDS) * n)
    for task in prange(tasks, nogil=True, schedule="static", num_threads=threads):
        elements_task(
            function, min(<Py_ssize_t>ELEMENTS_PER_TASK, n - task * ELEMENTS_PER_TASK), &x[task * ELEMENTS_PER_TASK],
            saved0 + task * ELEMENTS_PER_TASK if saved0 != NULL else NULL, <real>slope, &y[task * ELEMENTS_PER_TASK],
        )


cdef void elements_task(
    Function function, Py_ssize_t n, const real *x, const real *saved, real slope, real *y
) noexcept nogil:
    if saved == NULL:
        if function == RELU:
            kernels_for(x).relu(n, x, y)
        elif function == RELU6:
            kernels_for(x).relu6(n, x, y)
        elif function == LEAKY_RELU:
            kernels_for(x).leaky_relu(n, x, slope, y)
        elif function == SIGMOID:
            kernels_for(x).sigmoid(n, x, y)
        elif function == TANH:
            kernels_for(x).tanh(n, x, y)
    elif function == RELU:
        kernels_for(x).relu_backward(n, x, saved, y)
    elif function == RELU6:
        kernels_for(x).relu6_backward(n, x, saved, y)
    elif function == LEAKY_RELU:
        kernels_for(x).leaky_relu_backward(n, x, saved, slope, y)
    elif function == SIGMOID:
        kernels_for(x).sigmoid_backward(n, x, saved, y)
    elif function == TANH:
        kernels_for(x).tanh_backward(n, x, saved, y)


cdef object vectorwise(Function function, x, saved, int axis):
    """y = f(x) along an axis, or, with what forward saved, dx from dy = x."""
    cdef Py_ssize_t k = x.shape[axis]
    outer, inner = 1, 1
    for size in x.shape[:axis]:
        outer *= size
    for size in x.shape[axis + 1:]:
        inner *= size
    y = empty_like(x)
    shape = (outer, k, inner)
    if x.size:
        _vectors(function, x.reshape(shape), None if saved is None else saved.reshape(shape), y.reshape(shape))
    return y


def _vectors(
    Function function,
    const real[:, :, ::1] x,        # IN   (outer, k, inner)
    const real[:, :, ::1] saved,    # IN   as x, or None: forward
    real[:, :, ::1] y,              # OUT  as x
):
    cdef Py_ssize_t outer = x.shape[0], k = x.shape[1], inner = x.shape[2], task, start
    cdef Py_ssize_t runs = ceil_div(inner, CNNX_ACROSS)
    cdef const real *x0 = &x[0, 0, 0]
    cdef const real *saved0 = &saved[0, 0, 0] if saved is not None else NULL
    cdef real *y0 = &y[0, 0, 0]
    cdef int threads = threads_for(EXPONENTIAL_NANOSECONDS * outer * k * inner)
    for task in prange(outer * runs, nogil=True, schedule="static", num_threads=threads):
        start = task // runs * k * inner + task % runs * CNNX_ACROSS
        vectors_task(
            function, k, min(<Py_ssize_t>CNNX_ACROSS, inner - task % runs * CNNX_ACROSS), inner,
            x0 + start, saved0 + start if saved0 != NULL else NULL, y0 + start,
        )


cdef void vectors_task(
    Function function, Py_ssize_t k, Py_ssize_t n, Py_ssize_t inner, const real *x, const real *saved, real *y
) noexcept nogil:
    """n vectors side by side; one alone, where the axis is the last, has a kernel of its own."""
    if function == SOFTMAX and saved == NULL:
        if inner == 1:
            kernels_for(x).softmax(k, x, y)
        else:
            kernels_for(x).softmax_across(k, n, inner, x, y)
    elif function == SOFTMAX:
        if inner == 1:
            kernels_for(x).softmax_backward(k, x, saved, y)
        else:
            kernels_for(x).softmax_backward_across(k, n, inner, x, saved, y)
    elif saved == NULL:
        if inner == 1:
            kernels_for(x).log_softmax(k, x, y)
        else:
            kernels_for(x).log_softmax_across(k, n, inner, x, y)
    elif inner == 1:
        kernels_for(x).log_softmax_backward(k, x, saved, y)
    else:
        kernels_for(x).log_softmax_backward_across(k, n, inner, x, saved, y)
