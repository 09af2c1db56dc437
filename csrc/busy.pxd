"""Fewer threads on a busy machine (busy.pyx). Around a parallel region: `fewer_threads`, `start`, `share`, `finish`."""

from libc.stdint cimport int64_t

cdef struct Region:         # what is seen of one parallel region; times in nanoseconds
    int threads
    int64_t before          # the caller needs a team
    int64_t first, last     # the caller begins its first task, and has done its last
    Py_ssize_t own          # tasks of the caller
    int64_t pace            # per task, of the thread that was disturbed least

cdef int fewer_threads(int limit) noexcept nogil
cdef int64_t clock() noexcept nogil
cdef void start(Region *region, int threads) noexcept nogil
cdef void share(Region *region, bint is_caller, int64_t first, Py_ssize_t tasks) noexcept nogil
cdef void finish(Region *region, Py_ssize_t tasks) noexcept nogil
