"""The maximum over windows whose cells lie apart (dilated.pyx)."""

from .pooling cimport Pooling

cdef int plan_dilated(Pooling job) except -1


cdef inline Py_ssize_t first_tap(Py_ssize_t start, Py_ssize_t step) noexcept nogil:
    """The first of start, start + step, ... that is not negative."""
    return start if start >= 0 else start + (-start + step - 1) // step * step
