"""The threads of one parallel region, which meet for many loops (crew.pyx)."""

from libc.stdint cimport uint64_t

ctypedef void (*Work)(void *loop) noexcept nogil

cdef struct Crew:
    uint64_t state          # generation, whether a loop is open, and how many followers are in it
    Work work               # of the open loop: what each thread runs once
    void *loop

cdef Crew new_crew() noexcept nogil
cdef void follow(Crew *crew) noexcept nogil
cdef void lead(Crew *crew, Work work, void *loop) noexcept nogil
cdef void dismiss(Crew *crew) noexcept nogil
