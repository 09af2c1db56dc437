# The sum of two arrays. A task is a piece of the flat array, as for activations.


def add(x, y):
    z = empty_like(x)
    if x.size:
        _add(x.reshape(-1), y.reshape(-1), z.reshape(-1))
    return z


def _add(
    const real[::1] x,              # IN
    const real[::1] y,              # IN   as x
    real[::1] z,                    # OUT  as x
):
    cdef Py_ssize_t n = x.shape[0], tasks = ceil_div(n, ELEMENTS_PER_TASK), task, start
    cdef int threads = threads_for(1.5 * MEMORY_NANOSECONDS * n)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(tasks, schedule="static"):
            start = task * ELEMENTS_PER_TASK
            kernels_for(&x[0]).plus(min(<Py_ssize_t>ELEMENTS_PER_TASK, n - start), &x[start], &y[start], &z[start])
        restore_denormals()
