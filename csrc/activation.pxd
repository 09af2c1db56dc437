"""Activations (activation.pyx)."""

cdef enum:
    SHORT_VECTOR = 32       # the longest that is transposed to lie beside others; longer ones fill the lanes themselves
