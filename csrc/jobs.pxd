"""Prepared ops (jobs.pyx)."""

from .memory cimport Block
from .parallel cimport Team

cdef enum:
    MOST_ARRAYS = 64        # of a job: a concatenation has the most

cdef class Job

cdef class Packed:
    cdef readonly Job job
    cdef Block block

cdef class Job:
    cdef readonly str name              # of the algorithm
    cdef readonly tuple arrays          # of `Array`: what `run` takes, in order
    cdef readonly double cost           # nanoseconds on one thread, roughly
    cdef readonly size_t scratch        # bytes that each thread needs
    cdef readonly size_t shared         # bytes that all threads share
    cdef readonly size_t packed         # bytes of packed weights; 0: weights are read as they are
    cdef const void *kernels            # the kernel set that it was prepared for

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil
    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil
    cdef Block packed_weight(self, const void *weight)
    cdef int start(self, void **arrays) except -1
    cdef void *address(self, wanted, array) except? NULL
    cdef int check_array(self, wanted, array) except -1
    cdef int check_kernels(self) except -1

cdef Job find(tuple key)
cdef Job keep(tuple key, Job job)
