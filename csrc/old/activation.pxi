# Activations.
#
# Design:
# All of them walk through memory in one of two ways, so there are two drivers: `_elements`, whose task is a piece of
# the flat array, and `_vectors` for softmax, whose task is one vector, or, along an axis that is not the last,
# CNNX_ACROSS of them side by side. Short vectors are turned to lie side by side too: one alone would not fill the
# lanes, and a maximum and a sum over lanes cost more than ten exponentials. Which kernel to call for a task is a
# number, looked up per task: that of an ending (activations.h), or one below 0.

cdef enum Function:
    LEAKY_RELU = -5, SIGMOID, TANH, SOFTMAX, LOG_SOFTMAX

cdef int RELU = ending("relu"), RELU6 = ending("relu6")
cdef int HARDSIGMOID = ending("hardsigmoid"), HARDSWISH = ending("hardswish")

cdef enum:
    ELEMENTS_PER_TASK = 1 << 14     # 64 kB of floats: enough to be worth a call, few enough to share out
    SHORT_VECTOR = 32               # the longest that is turned; longer ones fill the lanes well enough



def relu(x):
    return elementwise(RELU, x, None, 0)


def relu_backward(dy, y):
    return elementwise(RELU, dy, y, 0)


def relu6(x):
    return elementwise(RELU6, x, None, 0)


def relu6_backward(dy, y):
    return elementwise(RELU6, dy, y, 0)


def hardsigmoid(x):
    return elementwise(HARDSIGMOID, x, None, 0)


def hardsigmoid_backward(dy, y):
    return elementwise(HARDSIGMOID, dy, y, 0)


def hardswish(x):
    return elementwise(HARDSWISH, x, None, 0)


def hardswish_backward(dy, x):
    return elementwise(HARDSWISH, dy, x, 0)


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


cdef object elementwise(int function, x, saved, double slope):
    """y = f(x), or, with what forward saved, dx from dy = x."""
    y = empty_like(x)
    if is_single(x):
        _elements(
            function, size_of(x), <const float *>data_of(x), <const float *>data_of(saved), slope, <float *>data_of(y)
        )
    else:
        _elements(
            function, size_of(x), <const double *>data_of(x), <const double *>data_of(saved), slope,
            <double *>data_of(y),
        )
    return y


cdef int _elements(
    int function,
    Py_ssize_t n,
    const real *x,                  # IN
    const real *saved,              # IN   as x, or NULL: forward
    double slope,
    real *y,                        # OUT  as x
) except -1:
    cdef Py_ssize_t task
    cdef bint exponential = saved == NULL and function in (SIGMOID, TANH)
    cdef int threads = threads_for((EXPONENTIAL_NANOSECONDS if exponential else MEMORY_NANOSECONDS) * n)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(n, ELEMENTS_PER_TASK), schedule="static"):
            elements_task(
                function, min(<Py_ssize_t>ELEMENTS_PER_TASK, n - task * ELEMENTS_PER_TASK),
                x + task * ELEMENTS_PER_TASK,
                saved + task * ELEMENTS_PER_TASK if saved != NULL else NULL, <real>slope, y + task * ELEMENTS_PER_TASK,
            )
        restore_denormals()


cdef void elements_task(
    int function, Py_ssize_t n, const real *x, const real *saved, real slope, real *y
) noexcept nogil:
    if function > 0:
        if saved == NULL:
            kernels_for(x).activate(<Ending>function, n, x, y)
        else:
            kernels_for(x).activate_backward(<Ending>function, n, x, saved, y)
    elif saved == NULL:
        if function == LEAKY_RELU:
            kernels_for(x).leaky_relu(n, x, slope, y)
        elif function == SIGMOID:
            kernels_for(x).sigmoid(n, x, y)
        elif function == TANH:
            kernels_for(x).tanh(n, x, y)
    elif function == LEAKY_RELU:
        kernels_for(x).leaky_relu_backward(n, x, saved, slope, y)
    elif function == SIGMOID:
        kernels_for(x).sigmoid_backward(n, x, saved, y)
    elif function == TANH:
        kernels_for(x).tanh_backward(n, x, saved, y)


cdef object vectorwise(Function function, x, saved, int axis):
    """y = f(x) along an axis, or, with what forward saved, dx from dy = x."""
    cdef cnp.npy_intp *shape = cnp.PyArray_DIMS(<cnp.ndarray>x)
    cdef Py_ssize_t outer = 1, inner = 1
    cdef int d
    for d in range(cnp.PyArray_NDIM(<cnp.ndarray>x)):
        if d < axis:
            outer *= shape[d]
        elif d > axis:
            inner *= shape[d]
    y = empty_like(x)
    if not y.size:
        return y
    if is_single(x):
        _vectors(
            function, outer, shape[axis], inner,
            <const float *>data_of(x), <const float *>data_of(saved), <float *>data_of(y),
        )
    else:
        _vectors(
            function, outer, shape[axis], inner,
            <const double *>data_of(x), <const double *>data_of(saved), <double *>data_of(y),
        )
    return y


cdef int _vectors(
    Function function, Py_ssize_t outer, Py_ssize_t k, Py_ssize_t inner,
    const real *x,                  # IN   (outer, k, inner)
    const real *saved,              # IN   as x, or NULL: forward
    real *y,                        # OUT  as x
) except -1:
    cdef bint short = inner == 1 and k <= SHORT_VECTOR
    # Either the lines (outer) or the places in a line (inner) are cut into runs that lie side by side.
    cdef Py_ssize_t many = outer if short else inner, runs = ceil_div(many, CNNX_ACROSS), task, n, start
    cdef int threads = threads_for(EXPONENTIAL_NANOSECONDS * outer * k * inner)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(runs if short else outer * runs, schedule="static"):
            n = min(<Py_ssize_t>CNNX_ACROSS, many - task % runs * CNNX_ACROSS)
            if short:
                start = task * CNNX_ACROSS * k
                short_vectors_task(function, k, n, x + start, saved + start if saved != NULL else NULL, y + start)
            else:
                start = task // runs * k * inner + task % runs * CNNX_ACROSS
                vectors_task(function, k, n, inner, x + start, saved + start if saved != NULL else NULL, y + start)
        restore_denormals()


cdef void short_vectors_task(
    Function function, Py_ssize_t k, Py_ssize_t n, const real *x, const real *saved, real *y
) noexcept nogil:
    """n short lines, one after the other: turned so that they lie side by side, and back."""
    cdef real turned[SHORT_VECTOR * CNNX_ACROSS]
    cdef real turned_saved[SHORT_VECTOR * CNNX_ACROSS]
    kernels_for(x).turn(k, n, x, turned)
    if saved != NULL:
        kernels_for(x).turn(k, n, saved, turned_saved)
    vectors_task(function, k, n, CNNX_ACROSS, turned, turned_saved if saved != NULL else NULL, turned)
    kernels_for(x).turn_back(k, n, turned, y)


cdef void vectors_task(
    Function function, Py_ssize_t k, Py_ssize_t n, Py_ssize_t inner, const real *x, const real *saved, real *y
) noexcept nogil:
    """n vectors side by side; one alone, where the axis is the last, has a kernel of its own."""
    if function == SOFTMAX and saved == NULL:
        if inner == 1:
            kernels_for(x).softmax(k, x, y, NULL)
        else:
            kernels_for(x).softmax_across(k, n, inner, x, y, NULL, NULL)
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
