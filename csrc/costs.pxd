"""What operations take, in nanoseconds on one thread, roughly: enough to tell whether a second thread pays."""

cdef extern from *:
    """
    #define CNNX_GEMM_NANOSECONDS (1.0 / 30)
    #define CNNX_MEMORY_NANOSECONDS 0.3
    #define CNNX_EXPONENTIAL_NANOSECONDS 1.0
    """
    const double GEMM_NANOSECONDS "CNNX_GEMM_NANOSECONDS"                   # a multiplication and an addition
    const double MEMORY_NANOSECONDS "CNNX_MEMORY_NANOSECONDS"               # an element read and written
    const double EXPONENTIAL_NANOSECONDS "CNNX_EXPONENTIAL_NANOSECONDS"
