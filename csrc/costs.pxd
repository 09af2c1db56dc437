"""What operations take, in nanoseconds on one thread, roughly: enough to tell whether a second thread pays."""

cdef extern from *:
    """
    #define CNNX_GEMM_NANOSECONDS (1.0 / 30)
    #define CNNX_MEMORY_NANOSECONDS 0.3
    #define CNNX_EXPONENTIAL_NANOSECONDS 1.0
    #define CNNX_BLEND_NANOSECONDS 0.5
    #define CNNX_DROPOUT_NANOSECONDS 0.7
    #define CNNX_MSE_NANOSECONDS 0.5
    #define CNNX_BCE_NANOSECONDS 1.5
    #define CNNX_CROSS_ENTROPY_NANOSECONDS 1.5
    #define CNNX_SGD_NANOSECONDS 0.5
    #define CNNX_RMSPROP_NANOSECONDS 0.8
    #define CNNX_ADAGRAD_NANOSECONDS 0.6
    #define CNNX_ADAM_NANOSECONDS 0.8
    #define CNNX_EMA_NANOSECONDS 0.4
    """
    const double GEMM_NANOSECONDS "CNNX_GEMM_NANOSECONDS"                   # a multiplication and an addition
    const double MEMORY_NANOSECONDS "CNNX_MEMORY_NANOSECONDS"               # an element read and written
    const double EXPONENTIAL_NANOSECONDS "CNNX_EXPONENTIAL_NANOSECONDS"
    const double BLEND_NANOSECONDS "CNNX_BLEND_NANOSECONDS"                 # a pixel of four others: bilinear
    const double DROPOUT_NANOSECONDS "CNNX_DROPOUT_NANOSECONDS"             # an element with its random number
    # an element of a loss, with its gradient
    const double MSE_NANOSECONDS "CNNX_MSE_NANOSECONDS"
    const double BCE_NANOSECONDS "CNNX_BCE_NANOSECONDS"
    const double CROSS_ENTROPY_NANOSECONDS "CNNX_CROSS_ENTROPY_NANOSECONDS"
    # an element of a parameter, with its state
    const double SGD_NANOSECONDS "CNNX_SGD_NANOSECONDS"
    const double RMSPROP_NANOSECONDS "CNNX_RMSPROP_NANOSECONDS"
    const double ADAGRAD_NANOSECONDS "CNNX_ADAGRAD_NANOSECONDS"
    const double ADAM_NANOSECONDS "CNNX_ADAM_NANOSECONDS"
    const double EMA_NANOSECONDS "CNNX_EMA_NANOSECONDS"

cdef enum:
    ELEMENTS_PER_TASK = 1 << 14     # of a flat array: 64 kB of floats, enough to be worth a call, few enough to share
