/* All kernels for one type. vec.h gives the vector of REAL; each file below holds one family. */
#include "vec.h"

#include "gemm.inc.c"
#include "lanes.inc.c"
#include "pack.inc.c"
#include "direct.inc.c"
#include "winograd.inc.c"
#include "activate.inc.c"
#include "rows.inc.c"
#include "sums.inc.c"
#include "norm.inc.c"
#include "norm_columns.inc.c"
#include "logarithm.inc.c"
#include "exponential.inc.c"
#include "loss.inc.c"
#include "pool_pairs.inc.c"
#include "pool.inc.c"
#include "depthwise.inc.c"
#include "optim.inc.c"
#include "resample.inc.c"

static const NAME(cnnx_kernels) NAME(table) = {
    .mr = TILE_ROWS,
    .nr = TILE_VECTORS * VL,
    .product = NAME(product),
    .product_at = NAME(product_at),
    .product_from = NAME(product_from),
    .transpose = NAME(transpose_matrix),
    .gemm_strided = NAME(gemm_strided),
    .pack = NAME(pack),
    .pack_windows = NAME(pack_windows),
    .copy_rows = NAME(copy_rows),
    .copy_apart = NAME(copy_apart),
    .interleave = NAME(interleave),
    .direct_dweight = NAME(direct_dweight),
    .winograd_down = NAME(winograd_down),
    .winograd_across = NAME(winograd_across),
    .winograd_weight = NAME(winograd_weight),
    .winograd_y = NAME(winograd_y),
    .winograd_x_strip = NAME(winograd_x_strip),
    .winograd_dy_strip = NAME(winograd_dy_strip),
    .winograd_dweight = NAME(winograd_dweight),
    .activate = NAME(activate),
    .activate_backward = NAME(activate_backward),
    .leaky_relu = NAME(leaky_relu),
    .leaky_relu_backward = NAME(leaky_relu_backward),
    .sigmoid_backward = NAME(sigmoid_backward),
    .tanh_backward = NAME(tanh_backward),
    .affine = NAME(affine),
    .add = NAME(add),
    .plus = NAME(plus),
    .times = NAME(times),
    .add_product = NAME(add_product),
    .scaled = NAME(scaled),
    .scaled_difference = NAME(scaled_difference),
    .dropout = NAME(dropout),
    .sum = NAME(sum),
    .row_sums = NAME(row_sums),
    .squared_distance = NAME(squared_distance),
    .dot = NAME(dot),
    .plane_moments = NAME(plane_moments),
    .plane_comoments = NAME(plane_comoments),
    .fold = NAME(fold),
    .normalise = NAME(normalise),
    .normalise_backward = NAME(normalise_backward),
    .widen = NAME(widen),
    .fold_columns = NAME(fold_columns),
    .column_moments = NAME(column_moments),
    .column_comoments = NAME(column_comoments),
    .normalise_columns = NAME(normalise_columns),
    .normalise_columns_backward = NAME(normalise_columns_backward),
    .sigmoid = NAME(sigmoid),
    .tanh = NAME(tanh),
    .softmax = NAME(softmax),
    .softmax_backward = NAME(softmax_backward),
    .log_softmax = NAME(log_softmax),
    .log_softmax_backward = NAME(log_softmax_backward),
    .turn = NAME(turn),
    .turn_back = NAME(turn_back),
    .softmax_across = NAME(softmax_across),
    .softmax_backward_across = NAME(softmax_backward_across),
    .log_softmax_across = NAME(log_softmax_across),
    .log_softmax_backward_across = NAME(log_softmax_backward_across),
    .bce = NAME(bce),
    .bce_with_logits = NAME(bce_with_logits),
    .lanes = VL,
    .to_lanes = NAME(to_lanes),
    .from_lanes = NAME(from_lanes),
    .codes_to_lanes = NAME(codes_to_lanes),
    .codes_from_lanes = NAME(codes_from_lanes),
    .max_pool_row = NAME(max_pool_row),
    .avg_pool_row = NAME(avg_pool_row),
    .max_pool_row_backward = NAME(max_pool_row_backward),
    .avg_pool_row_backward = NAME(avg_pool_row_backward),
    .max_pool_pairs = NAME(max_pool_pairs),
    .avg_pool_pairs = NAME(avg_pool_pairs),
    .max_pool_pairs_backward = NAME(max_pool_pairs_backward),
    .avg_pool_pairs_backward = NAME(avg_pool_pairs_backward),
    .blend = NAME(blend),
    .add_scaled = NAME(add_scaled),
    .add_pairs = NAME(add_pairs),
    .read_between = NAME(read_between),
    .write_between = NAME(write_between),
    .depthwise = NAME(depthwise),
    .depthwise_dweight = NAME(depthwise_dweight),
    .sgd = NAME(sgd),
    .rmsprop = NAME(rmsprop),
    .adagrad = NAME(adagrad),
    .adam = NAME(adam),
};

#undef VEC
#undef IVEC
#undef VL
#undef LANES
#undef SHUFFLE
#undef BLOCK
#undef LOWER_PAIR
#undef UPPER_PAIR
