# Dropout: the mask is a function of (seed, call, index), so a task is any piece of the flat array. The formula is in
# backends/reference/dropout.py.

from libc.stdint cimport uint64_t

cdef enum:
    PIECE_BITS = 14             # a task is 2^14 elements: pieces never straddle a block of 2^32, which has one key


def dropout(x, p, seed, call):
    cdef double share = p
    cdef uint64_t first = seed, second = call
    y = empty_like(x)
    if is_single(x):
        _dropout(size_of(x), <const float *>data_of(x), share, first, second, <float *>data_of(y))
    else:
        _dropout(size_of(x), <const double *>data_of(x), share, first, second, <double *>data_of(y))
    return y


def dropout_backward(dy, p, seed, call):
    return dropout(dy, p, seed, call)


cdef int _dropout(Py_ssize_t n, const real *x, double p, uint64_t seed, uint64_t call, real *y) except -1:
    cdef Py_ssize_t task, tasks = ceil_div(n, <Py_ssize_t>1 << PIECE_BITS)
    if p == 1:
        memset(y, 0, n * sizeof(real))
        return 0
    cdef int threads = threads_for(0.7 * n)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(tasks, schedule="static"):
            dropout_task(
                min(<Py_ssize_t>1 << PIECE_BITS, n - (task << PIECE_BITS)), <uint64_t>task << PIECE_BITS, p, seed, call,
                x + (task << PIECE_BITS), y + (task << PIECE_BITS),
            )
        restore_denormals()


cdef void dropout_task(
    Py_ssize_t n, uint64_t first, double p, uint64_t seed, uint64_t call, const real *x, real *y
) noexcept nogil:
    cdef uint64_t block = first >> 32
    cdef uint64_t key = splitmix64(splitmix64(seed) + call + <uint64_t>0x9E3779B97F4A7C15 * block)
    kernels_for(x).dropout(
        n, <uint32_t>first, <uint32_t>key, <uint32_t>(key >> 32), <uint32_t>(p * 4294967296.0), <real>(1 / (1 - p)),
        x, y,
    )


cdef uint64_t splitmix64(uint64_t z) noexcept nogil:
    z += <uint64_t>0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)
