"""The memory pool (memory.pyx): arrays for results, and blocks for everything else."""

cdef class Block:
    cdef void *data
    cdef int index

cdef Block take(size_t size)
cdef object new_array(tuple shape, dtype)
cdef object empty(tuple shape, like)
cdef object empty_like(x)
cdef object zeros(tuple shape, like)
