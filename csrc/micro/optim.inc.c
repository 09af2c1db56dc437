/* Optimiser steps: one pass over the parameters and their state. Formulas and sources in reference/optim.py. */

static void NAME(sgd)(const cnnx_step *step, ptrdiff_t n, REAL *restrict param, const REAL *restrict grad,
                      REAL *restrict velocity) {
    const REAL lr = (REAL)step->lr, momentum = (REAL)step->momentum, weight_decay = (REAL)step->weight_decay;
    const REAL share = (REAL)step->share;
    const int nesterov = step->nesterov;
    if (!velocity) {
        for (ptrdiff_t i = 0; i < n; i++) param[i] -= lr * (grad[i] + weight_decay * param[i]);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = grad[i] + weight_decay * param[i];
        velocity[i] = momentum * velocity[i] + share * g;
        param[i] -= lr * (nesterov ? g + momentum * velocity[i] : velocity[i]);
    }
}

static void NAME(rmsprop)(const cnnx_step *step, ptrdiff_t n, REAL *restrict param, const REAL *restrict grad,
                          REAL *restrict square_avg, REAL *restrict grad_avg, REAL *restrict velocity) {
    const REAL lr = (REAL)step->lr, momentum = (REAL)step->momentum, weight_decay = (REAL)step->weight_decay;
    const REAL alpha = (REAL)step->alpha, one_minus_alpha = (REAL)(1 - step->alpha), eps = (REAL)step->eps;
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = grad[i] + weight_decay * param[i];
        square_avg[i] = alpha * square_avg[i] + one_minus_alpha * g * g;
        REAL variance = square_avg[i];
        if (grad_avg) {
            grad_avg[i] += one_minus_alpha * (g - grad_avg[i]);
            variance -= grad_avg[i] * grad_avg[i];
            variance = variance < 0 ? 0 : variance; /* rounding errors of equal gradients have any sign; NaN stays */
        }
        REAL change = g / (SQRT(variance) + eps);
        if (velocity) change = velocity[i] = momentum * velocity[i] + change;
        param[i] -= lr * change;
    }
}

static void NAME(adagrad)(const cnnx_step *step, ptrdiff_t n, REAL *restrict param, const REAL *restrict grad,
                          REAL *restrict sum_sq) {
    const REAL lr = (REAL)step->lr, eps = (REAL)step->eps, weight_decay = (REAL)step->weight_decay;
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = grad[i] + weight_decay * param[i];
        sum_sq[i] += g * g;
        param[i] -= lr * g / (SQRT(sum_sq[i]) + eps);
    }
}

/* keep is 1, or what decoupled weight decay leaves of a parameter; max_avg_sq NULL: not AMSGrad */
static void NAME(adam)(const cnnx_step *step, ptrdiff_t n, REAL *restrict param, const REAL *restrict grad,
                       REAL *restrict exp_avg, REAL *restrict exp_avg_sq, REAL *restrict max_avg_sq) {
    const REAL lr = (REAL)step->lr, eps = (REAL)step->eps, weight_decay = (REAL)step->weight_decay;
    const REAL one_minus_beta1 = (REAL)step->one_minus_beta1, root_scale = (REAL)step->root_scale;
    const REAL beta2 = (REAL)step->beta2, one_minus_beta2 = (REAL)step->one_minus_beta2, keep = (REAL)step->keep;
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = grad[i] + weight_decay * param[i];
        exp_avg[i] += one_minus_beta1 * (g - exp_avg[i]);
        REAL square = exp_avg_sq[i] = beta2 * exp_avg_sq[i] + one_minus_beta2 * g * g;
        if (max_avg_sq) {
            const REAL most = max_avg_sq[i];
            square = max_avg_sq[i] = most > square || most != most ? most : square; /* NaN stays */
        }
        param[i] = param[i] * keep - lr * exp_avg[i] / (SQRT(square) * root_scale + eps);
    }
}

static void NAME(nadam)(const cnnx_step *step, ptrdiff_t n, REAL *restrict param, const REAL *restrict grad,
                        REAL *restrict exp_avg, REAL *restrict exp_avg_sq) {
    const REAL grad_lr = (REAL)step->grad_lr, lr = (REAL)step->lr, eps = (REAL)step->eps;
    const REAL weight_decay = (REAL)step->weight_decay, keep = (REAL)step->keep, root_scale = (REAL)step->root_scale;
    const REAL one_minus_beta1 = (REAL)step->one_minus_beta1;
    const REAL beta2 = (REAL)step->beta2, one_minus_beta2 = (REAL)step->one_minus_beta2;
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = grad[i] + weight_decay * param[i];
        exp_avg[i] += one_minus_beta1 * (g - exp_avg[i]);
        exp_avg_sq[i] = beta2 * exp_avg_sq[i] + one_minus_beta2 * g * g;
        param[i] = param[i] * keep - (grad_lr * g + lr * exp_avg[i]) / (SQRT(exp_avg_sq[i]) * root_scale + eps);
    }
}

static void NAME(ema)(ptrdiff_t n, REAL share, REAL *restrict average, const REAL *restrict value) {
    for (ptrdiff_t i = 0; i < n; i++) average[i] += share * (value[i] - average[i]);
}
