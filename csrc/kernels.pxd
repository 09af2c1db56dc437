"""The only door from Cython to C.

# Design:
# kernels_for(x) is a macro (kernels.h) that selects the table for x's type, float or double, at C compile time. Cython
# only needs the names of the kernels: it passes arguments on as they are, and the C compiler checks each call against
# the prototype in kernel_table.inc.h, which also states the contract. A wrong type or number of arguments is an error.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t

ctypedef fused real:
    float
    double

cdef extern from "kernels.h" nogil:
    enum: CNNX_MAX_LANES, CNNX_ACROSS, CNNX_MR_MULTIPLE
    enum: CNNX_MEAN, CNNX_SCALE, CNNX_SHIFT, CNNX_SLOPE, CNNX_OFFSET, CNNX_NORM_PARAMETERS

    ctypedef enum Ending "cnnx_activation":
        NO_ACTIVATION "CNNX_NO_ACTIVATION"  # the others are found by their names: epilogue.pyx

    ctypedef enum Curve "cnnx_curve":
        ELU "CNNX_CURVE_elu", GELU "CNNX_CURVE_gelu", GELU_TANH "CNNX_CURVE_gelu_tanh", SILU "CNNX_CURVE_silu"
        SOFTPLUS "CNNX_CURVE_softplus", MISH "CNNX_CURVE_mish"

    ctypedef enum Binary "cnnx_binary":
        ADD "CNNX_ADD", SUBTRACT "CNNX_SUBTRACT", MULTIPLY "CNNX_MULTIPLY", DIVIDE "CNNX_DIVIDE"
        MAXIMUM "CNNX_MAXIMUM", MINIMUM "CNNX_MINIMUM"

    ctypedef enum Unary "cnnx_unary":
        ABS "CNNX_ABS", NEGATIVE "CNNX_NEGATIVE", RECIPROCAL "CNNX_RECIPROCAL", SQRT "CNNX_SQRT", EXP "CNNX_EXP"
        LOG "CNNX_LOG", CLIP "CNNX_CLIP", AFFINE "CNNX_AFFINE"

    ctypedef struct cnnx_lane_windows:
        Py_ssize_t images, rows, cols, y_image, y_row, y_col, x_image, x_row, x_col
        Py_ssize_t kh, kw, tap_row, tap_col

    ctypedef struct cnnx_plane_windows:
        Py_ssize_t rows, cols, step, x_row
        Py_ssize_t[3] tap

    ctypedef struct cnnx_channel_windows:
        Py_ssize_t channels, pitch, cols, w, left, kw, stride, dilation, tap_row

    ctypedef struct cnnx_window_row:
        Py_ssize_t count, rows, kw, stride, left, w

    ctypedef struct cnnx_columns:
        Py_ssize_t rows, n, stride, pitch

    ctypedef struct cnnx_lstm:
        Py_ssize_t units, inputs, hidden, gate

    ctypedef struct cnnx_step:
        double lr, momentum, weight_decay, alpha, eps, one_minus_beta1, beta2, one_minus_beta2, root_scale
        double keep, grad_lr, share
        bint nesterov

    ctypedef struct cnnx_tile:
        Py_ssize_t rows, cols, k, a_row, a_col, b_row, start_row, start_col, c_row

    ctypedef struct cnnx_runs:
        const Py_ssize_t *rows
        const Py_ssize_t *runs
        Py_ssize_t count, length

    ctypedef struct cnnx_strip:
        Py_ssize_t tiles, channels, top, bottom, left, right, pixel, pitch, tile, point

    ctypedef struct cnnx_dweight_tile:
        Py_ssize_t filters, lines, pixels, x_line, sums_row

    ctypedef void (*kernel "void *")(...) noexcept nogil
    ctypedef double (*kernel_to_double "void *")(...) noexcept nogil

    ctypedef struct kernel_table:
        Py_ssize_t mr, nr, lanes
        # matrix product
        kernel gemm_strided, product, product_to_end, product_of_runs, product_at, product_from
        kernel transpose, pack, pack_windows, copy_rows, split_rows, copy_strided, interleave
        # convolution
        kernel direct_dweight, depthwise, depthwise_dweight, depthwise_row, convolve_3x3
        kernel winograd_down, winograd_across, winograd_weight, winograd_y
        kernel winograd_x_strip, winograd_y_strip, winograd_dy_strip, winograd_dweight
        # one row, element by element
        kernel activate, activate_backward, leaky_relu, leaky_relu_backward, sigmoid_backward, tanh_backward
        kernel prelu_columns, prelu_columns_backward
        kernel binary, unary
        kernel affine, add, plus, times, add_product, scaled, scaled_difference, dropout
        # sums over rows
        kernel row_sums
        kernel_to_double prelu_backward, sum, squared_distance, dot, extreme
        # batch normalisation
        kernel plane_moments, plane_comoments, fold, normalise, normalise_backward
        kernel widen, fold_columns, column_moments, column_comoments, normalise_columns, normalise_columns_backward
        # layer normalisation
        kernel row_statistics, layer_norm, layer_norm_backward
        # exponentials, losses
        kernel curve, curve_backward, power
        kernel sigmoid, tanh, softmax_backward, log_softmax, log_softmax_backward
        kernel lstm_units
        kernel_to_double softmax, bce, bce_with_logits, binary_focal, absolute, huber
        kernel transpose_across, transpose_across_back, softmax_across, softmax_backward_across
        kernel log_softmax_across, log_softmax_backward_across
        # planes in lanes, pooling
        kernel to_lanes, from_lanes, codes_to_lanes, codes_from_lanes
        kernel max_pool_row, avg_pool_row, max_pool_row_backward, avg_pool_row_backward
        kernel max_pool_pairs, avg_pool_pairs, max_pool_pairs_backward, avg_pool_pairs_backward
        # rows of an image of another size
        kernel blend, add_scaled, add_pairs, read_between, write_between
        # optimiser steps
        kernel sgd, rmsprop, adagrad, adam, nadam, ema

    const kernel_table *kernels_for(const void *x)

    ctypedef struct cnnx_kernel_set:
        const char *name

    const cnnx_kernel_set *cnnx_active
    int cnnx_select(const char *name)
    const char *cnnx_usable(size_t i)
    const char *cnnx_ending_name "cnnx_activation_name"(size_t i)
