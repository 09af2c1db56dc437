"""The only door to OpenMP: the five calls that are needed, or, in a build without it, what they mean serially."""

cdef extern from *:
    """
    #define CNNX_LOCAL static inline __attribute__((unused))    /* a module may need only some */
    #ifdef _OPENMP
    #include <omp.h>
    #define CNNX_OPENMP _OPENMP
    CNNX_LOCAL void cnnx_meet(void) { _Pragma("omp barrier") }
    #else
    #define CNNX_OPENMP 0
    CNNX_LOCAL void cnnx_meet(void) {}
    CNNX_LOCAL int omp_get_max_threads(void) { return 1; }
    CNNX_LOCAL int omp_get_num_threads(void) { return 1; }
    CNNX_LOCAL int omp_get_thread_limit(void) { return 1; }
    CNNX_LOCAL int omp_get_thread_num(void) { return 0; }
    CNNX_LOCAL void omp_set_num_threads(int n) { (void)n; }
    #endif
    """
    enum: CNNX_OPENMP
    void meet "cnnx_meet"() noexcept nogil          # the threads of a region wait for one another
    int omp_get_max_threads() noexcept nogil
    int omp_get_num_threads() noexcept nogil
    int omp_get_thread_limit() noexcept nogil
    int omp_get_thread_num() noexcept nogil
    void omp_set_num_threads(int n) noexcept nogil
