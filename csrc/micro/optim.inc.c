/* Optimiser steps: one pass over the parameters and their state. Formulas and sources in reference/optim.py. */

static void NAME(sgd)(ptrdiff_t n, REAL *restrict param, const REAL *restrict grad, REAL *restrict velocity, REAL lr,
                      REAL momentum, REAL weight_decay, int nesterov) {
    if (!velocity) {
        for (ptrdiff_t i = 0; i < n; i++) param[i] -= lr * (grad[i] + weight_decay * param[i]);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = grad[i] + weight_decay * param[i];
        velocity[i] = momentum * velocity[i] + g;
        param[i] -= lr * (nesterov ? g + momentum * velocity[i] : velocity[i]);
    }
}

static void NAME(rmsprop)(ptrdiff_t n, REAL *restrict param, const REAL *restrict grad, REAL *restrict square_avg,
                          REAL *restrict grad_avg, REAL *restrict velocity, REAL lr, REAL alpha, REAL one_minus_alpha,
                          REAL eps, REAL weight_decay, REAL momentum) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = grad[i] + weight_decay * param[i];
        square_avg[i] = alpha * square_avg[i] + one_minus_alpha * g * g;
        REAL variance = square_avg[i];
        if (grad_avg) {
            grad_avg[i] += one_minus_alpha * (g - grad_avg[i]);
            variance -= grad_avg[i] * grad_avg[i];
            variance = variance < 0 ? 0 : variance; /* of equal gradients it is rounding, of any sign; NaN stays */
        }
        REAL step = g / (SQRT(variance) + eps);
        if (velocity) step = velocity[i] = momentum * velocity[i] + step;
        param[i] -= lr * step;
    }
}

static void NAME(adagrad)(ptrdiff_t n, REAL *restrict param, const REAL *restrict grad, REAL *restrict sum_sq, REAL lr,
                          REAL eps, REAL weight_decay) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = grad[i] + weight_decay * param[i];
        sum_sq[i] += g * g;
        param[i] -= lr * g / (SQRT(sum_sq[i]) + eps);
    }
}

static void NAME(adam)(ptrdiff_t n, REAL *restrict param, const REAL *restrict grad, REAL *restrict exp_avg,
                       REAL *restrict exp_avg_sq, REAL step_size, REAL one_minus_beta1, REAL beta2,
                       REAL one_minus_beta2, REAL eps, REAL weight_decay, REAL root_scale) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = grad[i] + weight_decay * param[i];
        exp_avg[i] += one_minus_beta1 * (g - exp_avg[i]);
        exp_avg_sq[i] = beta2 * exp_avg_sq[i] + one_minus_beta2 * g * g;
        param[i] -= step_size * exp_avg[i] / (SQRT(exp_avg_sq[i]) * root_scale + eps);
    }
}
