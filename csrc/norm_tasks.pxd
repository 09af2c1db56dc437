"""The tasks of batch normalisation (norm_tasks.pyx)."""

from kernels cimport Ending, real

cdef struct Norm:               # what all tasks read
    Py_ssize_t n, channels, pixels
    Py_ssize_t image            # stride from an image to the next
    Py_ssize_t share            # channels of a task
    Py_ssize_t width            # elements of a row of scratch memory
    Py_ssize_t pitch            # from a parameter to the next
    bint columns
    bint training
    Ending activation
    double eps, momentum
    const void *x               # (n, channels, pixels)
    const void *dy
    const void *add             # may be NULL
    void *y
    void *dx
    const void *weight          # (channels,); may be NULL
    const void *bias            # may be NULL
    void *running_mean          # may be NULL
    void *running_var           # may be NULL
    void *mean
    void *inv_std
    void *dweight
    void *dbias

cdef void divide(Norm *b) noexcept nogil
cdef size_t scratch_bytes(const Norm *b, size_t itemsize) noexcept nogil
cdef void take_statistics(const Norm *b, const real *running_mean, const real *running_var) noexcept nogil
cdef void forward_task(const Norm *b, Py_ssize_t task, real *scratch) noexcept nogil
cdef void backward_task(const Norm *b, Py_ssize_t task, real *scratch) noexcept nogil
