"""The only door from Cython to C.

# Design:
# kernels_for(x) is a macro (kernels.h) that picks the table for x's type, float or double, at C compile time. So one
# list stands here for both: its `void *` is REAL * in C, and its `double` is REAL, and the C compiler checks the types
# of every call (a wrong pointer does not compile: -Werror=incompatible-pointer-types). The contracts are in
# kernel_table.inc.h.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t

ctypedef fused real:
    float
    double

cdef extern from "kernels.h" nogil:
    enum: CNNX_MAX_LANES, CNNX_ACROSS

    ctypedef enum Ending "cnnx_ending":
        NO_ACTIVATION "CNNX_NO_ACTIVATION"  # the others are found by their names: epilogue.pyx

    ctypedef struct cnnx_lane_windows:
        Py_ssize_t images, rows, cols, y_image, y_row, y_col, x_image, x_row, x_col
        Py_ssize_t kh, kw, tap_row, tap_col

    ctypedef struct cnnx_window_row:
        Py_ssize_t count, rows, kw, stride, left, w

    ctypedef struct kernel_table:
        Py_ssize_t mr, nr
        void (*gemm_strided)(Py_ssize_t k, const void *a, Py_ssize_t a_step, const void *b,
            Py_ssize_t b_step, void *c, Py_ssize_t ldc) noexcept nogil
        void (*product)(Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t k, const void *a,
            Py_ssize_t a_row, Py_ssize_t a_col, const void *b, Py_ssize_t b_row, const void *start,
            Py_ssize_t start_row, Py_ssize_t start_col, void *c, Py_ssize_t c_row) noexcept nogil
        void (*product_at)(Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t k, const void *a,
            const void *b, const Py_ssize_t *offsets, const void *start, Py_ssize_t start_row,
            Py_ssize_t start_col, void *c, Py_ssize_t c_row) noexcept nogil
        void (*product_from)(Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t k, const void *a,
            const Py_ssize_t *offsets, const void *b, const void *start, Py_ssize_t start_row,
            void *c, Py_ssize_t c_row) noexcept nogil
        void (*transpose)(Py_ssize_t rows, Py_ssize_t cols, const void *x, Py_ssize_t x_row,
            void *y, Py_ssize_t y_row) noexcept nogil
        void (*pack)(Py_ssize_t rows, Py_ssize_t k, const void *a, Py_ssize_t row_stride,
            Py_ssize_t col_stride, Py_ssize_t width, void *panel) noexcept nogil
        void (*pack_windows)(Py_ssize_t rows, const Py_ssize_t *offsets, Py_ssize_t ow,
            Py_ssize_t row_step, Py_ssize_t first, Py_ssize_t count, const void *x,
            void *panel) noexcept nogil
        void (*copy_rows)(Py_ssize_t rows, Py_ssize_t n, const void *x, Py_ssize_t x_step,
            Py_ssize_t x_ahead, void *y, Py_ssize_t y_step, Py_ssize_t y_ahead) noexcept nogil
        void (*copy_apart)(Py_ssize_t n, const void *x, Py_ssize_t step, void *y) noexcept nogil
        void (*interleave)(Py_ssize_t n, Py_ssize_t parts, const void *x, Py_ssize_t x_step,
            void *y) noexcept nogil
        void (*direct_dweight)(Py_ssize_t filters, Py_ssize_t lines, Py_ssize_t pixels,
            const void *x, Py_ssize_t x_line, const Py_ssize_t *offsets, const void *dy,
            void *sums, Py_ssize_t sums_row) noexcept nogil
        void (*winograd_down)(Py_ssize_t n, const void *x, void *y, Py_ssize_t pitch) noexcept nogil
        void (*winograd_across)(const void *x, Py_ssize_t pitch, const Py_ssize_t *places, void *v,
            Py_ssize_t step) noexcept nogil
        void (*winograd_weight)(Py_ssize_t rows, Py_ssize_t channels, const void *weight,
            Py_ssize_t row_stride, Py_ssize_t channel_stride, int rotated, void *u,
            Py_ssize_t step) noexcept nogil
        void (*winograd_y)(const void *m, Py_ssize_t step, double shift, const Py_ssize_t *places,
            void *y, Py_ssize_t pitch) noexcept nogil
        void (*winograd_x_strip)(Py_ssize_t tiles, const void *x, Py_ssize_t pitch, void *v,
            Py_ssize_t tile_step, Py_ssize_t step) noexcept nogil
        void (*winograd_dy_strip)(Py_ssize_t tiles, const void *dy, Py_ssize_t pitch, void *u,
            Py_ssize_t tile_step, Py_ssize_t step) noexcept nogil
        void (*winograd_dweight)(const void *sums, Py_ssize_t step, void *dweight) noexcept nogil
        void (*activate)(Ending activation, Py_ssize_t n, const void *x, void *y) noexcept nogil
        void (*activate_backward)(Ending activation, Py_ssize_t n, const void *dy,
            const void *saved, void *dx) noexcept nogil
        void (*leaky_relu)(Py_ssize_t n, const void *x, double slope, void *y) noexcept nogil
        void (*leaky_relu_backward)(Py_ssize_t n, const void *dy, const void *x, double slope,
            void *dx) noexcept nogil
        void (*sigmoid_backward)(Py_ssize_t n, const void *dy, const void *y,
            void *dx) noexcept nogil
        void (*tanh_backward)(Py_ssize_t n, const void *dy, const void *y, void *dx) noexcept nogil
        void (*affine)(Py_ssize_t n, const void *x, double center, double scale, double shift,
            void *y) noexcept nogil
        void (*add)(Py_ssize_t n, const void *x, void *y) noexcept nogil
        void (*plus)(Py_ssize_t n, const void *x, const void *y, void *z) noexcept nogil
        void (*times)(Py_ssize_t n, const void *x, const void *y, void *z) noexcept nogil
        void (*add_product)(Py_ssize_t n, const void *x, const void *y, void *z) noexcept nogil
        void (*scaled)(Py_ssize_t n, const void *x, double scale, void *y) noexcept nogil
        void (*scaled_difference)(Py_ssize_t n, const void *x, const void *y, double scale,
            void *z) noexcept nogil
        void (*dropout)(Py_ssize_t n, uint32_t first, uint32_t low, uint32_t high,
            uint32_t threshold, double scale, const void *x, void *y) noexcept nogil
        double (*sum)(Py_ssize_t n, const void *x) noexcept nogil
        void (*row_sums)(Py_ssize_t rows, Py_ssize_t n, const void *x, Py_ssize_t step,
            double *sums) noexcept nogil
        double (*squared_distance)(Py_ssize_t n, const void *x, const void *y) noexcept nogil
        double (*dot)(Py_ssize_t n, const void *x, const void *y) noexcept nogil
        void (*plane_moments)(Py_ssize_t n, const void *x, double center, Py_ssize_t ahead,
            void *partial) noexcept nogil
        void (*plane_comoments)(Py_ssize_t n, const void *dy, const void *x, double mean,
            double scale, double shift, Ending activation, Py_ssize_t ahead,
            void *partial) noexcept nogil
        void (*fold)(void *partial, double *first, double *second) noexcept nogil
        void (*normalise)(Py_ssize_t n, const void *x, double mean, double scale, double shift,
            const void *add, Ending activation, Py_ssize_t ahead, void *y) noexcept nogil
        void (*normalise_backward)(Py_ssize_t n, const void *dy, const void *x, double mean,
            double scale, double shift, Ending activation, bint training, double slope,
            double offset, Py_ssize_t ahead, void *dx) noexcept nogil
        void (*widen)(Py_ssize_t channels, Py_ssize_t pixels, const void *values,
            void *columns) noexcept nogil
        void (*fold_columns)(Py_ssize_t channels, Py_ssize_t pixels, void *columns,
            double *sums) noexcept nogil
        void (*column_moments)(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t step, const void *x,
            const void *center, void *sums, void *squares) noexcept nogil
        void (*column_comoments)(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t step, const void *dy,
            const void *x, const void *mean, const void *scale, const void *shift,
            Ending activation, void *sums, void *products) noexcept nogil
        void (*normalise_columns)(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t step, const void *x,
            const void *mean, const void *scale, const void *shift, const void *add,
            Ending activation, void *y) noexcept nogil
        void (*normalise_columns_backward)(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t step,
            const void *dy, const void *x, const void *mean, const void *scale, const void *shift,
            Ending activation, bint training, const void *slope, const void *offset,
            void *dx) noexcept nogil
        void (*sigmoid)(Py_ssize_t n, const void *x, void *y) noexcept nogil
        void (*tanh)(Py_ssize_t n, const void *x, void *y) noexcept nogil
        double (*softmax)(Py_ssize_t n, const void *x, void *y, void *top) noexcept nogil
        void (*softmax_backward)(Py_ssize_t n, const void *dy, const void *y,
            void *dx) noexcept nogil
        void (*log_softmax)(Py_ssize_t n, const void *x, void *y) noexcept nogil
        void (*log_softmax_backward)(Py_ssize_t n, const void *dy, const void *y,
            void *dx) noexcept nogil
        void (*turn)(Py_ssize_t k, Py_ssize_t n, const void *x, void *y) noexcept nogil
        void (*turn_back)(Py_ssize_t k, Py_ssize_t n, const void *x, void *y) noexcept nogil
        void (*softmax_across)(
            Py_ssize_t k, Py_ssize_t n, Py_ssize_t step, const void *x, void *y, void *tops,
            double *log_sums) noexcept nogil
        void (*softmax_backward_across)(
            Py_ssize_t k, Py_ssize_t n, Py_ssize_t step, const void *dy, const void *y,
            void *dx) noexcept nogil
        void (*log_softmax_across)(
            Py_ssize_t k, Py_ssize_t n, Py_ssize_t step, const void *x, void *y) noexcept nogil
        void (*log_softmax_backward_across)(
            Py_ssize_t k, Py_ssize_t n, Py_ssize_t step, const void *dy, const void *y,
            void *dx) noexcept nogil
        double (*bce)(Py_ssize_t n, const void *pred, const void *target, double scale,
            void *dpred) noexcept nogil
        double (*bce_with_logits)(Py_ssize_t n, const void *logits, const void *target,
            double scale, void *dlogits) noexcept nogil
        Py_ssize_t lanes
        void (*to_lanes)(Py_ssize_t planes, Py_ssize_t n, const void *x, Py_ssize_t step,
            Py_ssize_t run, Py_ssize_t gap, Py_ssize_t ahead, void *lanes) noexcept nogil
        void (*from_lanes)(Py_ssize_t planes, Py_ssize_t n, const void *lanes, void *y,
            Py_ssize_t step) noexcept nogil
        void (*codes_to_lanes)(Py_ssize_t planes, Py_ssize_t n, const uint8_t *narrow,
            const int32_t *wide, Py_ssize_t step, void *lanes) noexcept nogil
        void (*codes_from_lanes)(Py_ssize_t planes, Py_ssize_t n, const void *lanes,
            uint8_t *narrow, int32_t *wide, Py_ssize_t step) noexcept nogil
        void (*max_pool_row)(const cnnx_window_row *row, const void *x, int32_t code, int32_t dead,
            void *y, void *argmax) noexcept nogil
        void (*avg_pool_row)(const cnnx_window_row *row, const void *x, const void *share,
            void *y) noexcept nogil
        void (*max_pool_row_backward)(const cnnx_window_row *row, const void *dy,
            const void *argmax, int32_t code, void *dx) noexcept nogil
        void (*avg_pool_row_backward)(const cnnx_window_row *row, const void *dy,
            const void *share, void *dx) noexcept nogil
        void (*max_pool_pairs)(Py_ssize_t rows, Py_ssize_t ow, Py_ssize_t w, const void *x,
            int32_t dead, void *y, uint8_t *argmax) noexcept nogil
        void (*avg_pool_pairs)(Py_ssize_t rows, Py_ssize_t ow, Py_ssize_t w, const void *x,
            void *y) noexcept nogil
        void (*max_pool_pairs_backward)(Py_ssize_t rows, Py_ssize_t ow, Py_ssize_t w,
            const void *dy, const uint8_t *argmax, void *dx) noexcept nogil
        void (*avg_pool_pairs_backward)(Py_ssize_t rows, Py_ssize_t ow, Py_ssize_t w,
            const void *dy, void *dx) noexcept nogil
        void (*depthwise)(const cnnx_lane_windows *windows, const void *x, const void *weight,
            const void *start, void *y) noexcept nogil
        void (*depthwise_dweight)(const cnnx_lane_windows *windows, const void *x, const void *dy,
            void *dweight) noexcept nogil
        void (*blend)(Py_ssize_t n, const void *x, double share_x, const void *y, double share_y,
            void *z) noexcept nogil
        void (*add_scaled)(Py_ssize_t n, const void *x, double scale, void *y) noexcept nogil
        void (*add_pairs)(Py_ssize_t n, const void *x, void *y) noexcept nogil
        void (*read_between)(Py_ssize_t n, Py_ssize_t w, const Py_ssize_t *pixels,
            const void *shares, const void *x, void *y) noexcept nogil
        void (*write_between)(Py_ssize_t n, Py_ssize_t w, const Py_ssize_t *pixels,
            const Py_ssize_t *begins, const void *shares, const void *dy, void *dx) noexcept nogil
        void (*sgd)(Py_ssize_t n, void *param, const void *grad, void *velocity, double lr,
            double momentum, double weight_decay, int nesterov) noexcept nogil
        void (*rmsprop)(Py_ssize_t n, void *param, const void *grad, void *square_avg,
            void *grad_avg, void *velocity, double lr, double alpha, double one_minus_alpha,
            double eps, double weight_decay, double momentum) noexcept nogil
        void (*adagrad)(Py_ssize_t n, void *param, const void *grad, void *sum_sq, double lr,
            double eps, double weight_decay) noexcept nogil
        void (*adam)(Py_ssize_t n, void *param, const void *grad, void *exp_avg, void *exp_avg_sq,
            double step_size, double one_minus_beta1, double beta2, double one_minus_beta2,
            double eps, double weight_decay, double root_scale) noexcept nogil

    const kernel_table *kernels_for(const void *x)

    ctypedef struct cnnx_kernel_set:
        const char *name

    const cnnx_kernel_set *cnnx_active
    int cnnx_select(const char *name)
    const char *cnnx_usable(size_t i)
    const char *cnnx_ending_name(size_t i)
