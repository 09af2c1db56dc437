import numpy as np
from cs231n.fast_layers import *
from cs231n.gradient_check import *
from cs231n.im2col import *
from cs231n.layer_utils import *
from cs231n.layers import *
from cs231n.optim import *
from cs231n.solver import *

np.random.seed(0)
x, w, b = np.random.randn(4, 3, 8, 8), 0.1 * np.random.randn(6, 3, 3, 3), np.zeros(6)
conv_param, pool_param = (
    {"stride": 1, "pad": 1},
    {"pool_height": 2, "pool_width": 2, "stride": 2},
)
gamma, beta = np.ones(6), np.zeros(6)
results = []
for forward, backward, arguments in (
    (affine_forward, affine_backward, (x, np.random.randn(192, 5), np.zeros(5))),
    (affine_relu_forward, affine_relu_backward, (x, np.random.randn(192, 5), np.zeros(5))),
    (
        affine_bn_relu_forward,
        affine_bn_relu_backward,
        (x, np.random.randn(192, 6), b, gamma, beta, {"mode": "train"}),
    ),
    (relu_forward, relu_backward, (x,)),
    (batchnorm_forward, batchnorm_backward, (x[:, :, 0, 0] @ np.ones((3, 6)), gamma, beta, {"mode": "train"})),
    (batchnorm_forward, batchnorm_backward_alt, (np.random.randn(5, 6), gamma, beta, {"mode": "train"})),
    (spatial_batchnorm_forward, spatial_batchnorm_backward, (x, np.ones(3), np.zeros(3), {"mode": "train"})),
    (layernorm_forward, layernorm_backward, (np.random.randn(5, 6), gamma, beta, {})),
    (spatial_groupnorm_forward, spatial_groupnorm_backward, (x, np.ones((1, 3, 1, 1)), 0.0, 3, {})),
    (dropout_forward, dropout_backward, (x, {"p": 0.8, "mode": "train", "seed": 1})),
    (conv_forward_naive, conv_backward_naive, (x, w, b, conv_param)),
    (conv_forward_im2col, conv_backward_im2col, (x, w, b, conv_param)),
    (conv_forward_strides, conv_backward_strides, (x, w, b, conv_param)),
    (conv_forward_fast, conv_backward_fast, (x, w, b, conv_param)),
    (conv_relu_forward, conv_relu_backward, (x, w, b, conv_param)),
    (
        conv_bn_relu_forward,
        conv_bn_relu_backward,
        (x, w, b, gamma, beta, conv_param, {"mode": "train"}),
    ),
    (conv_relu_pool_forward, conv_relu_pool_backward, (x, w, b, conv_param, pool_param)),
    (max_pool_forward_naive, max_pool_backward_naive, (x, pool_param)),
    (max_pool_forward_im2col, max_pool_backward_im2col, (x, pool_param)),
    (max_pool_forward_reshape, max_pool_backward_reshape, (x, pool_param)),
    (max_pool_forward_fast, max_pool_backward_fast, (x, pool_param)),
):
    out, cache = forward(*arguments)
    gradients = backward(np.ones_like(out), cache)
    first = gradients[0] if isinstance(gradients, tuple) else gradients
    results.append(first.shape == arguments[0].shape)

cols = im2col_indices(x, 3, 3)
back = col2im_indices(cols, x.shape)
results.append(np.allclose(im2col_cython(x, 3, 3, 1, 1), cols))
results.append(np.allclose(col2im_cython(cols, 4, 3, 8, 8, 3, 3, 1, 1), back))
six = cols.reshape(3, 3, 3, 8, 8, 4).transpose(0, 1, 2, 5, 3, 4)
results.append(np.allclose(col2im_6d_cython(six, 4, 3, 8, 8, 3, 3, 1, 1), back))
results.append(len(get_im2col_indices(x.shape, 3, 3)) == 3)

scores, y = np.random.randn(4, 3), np.array([0, 2, 1, 1])
for loss_of in (softmax_loss, svm_loss):
    loss, dx = loss_of(scores, y)
    slopes = eval_numerical_gradient(lambda s: loss_of(s, y)[0], scores, verbose=False)
    results.append(rel_error(slopes, dx) < 1e-6)
    grad_check_sparse(lambda s: loss_of(s, y)[0], scores, dx, num_checks=2)
numerical = eval_numerical_gradient_array(lambda v: relu_forward(v)[0], scores, np.ones((4, 3)))
results.append(rel_error(numerical, relu_backward(np.ones((4, 3)), scores)) < 1e-6)


class Model:
    def __init__(self):
        self.params = {"W": 0.01 * np.random.randn(192, 3), "b": np.zeros(3)}

    def loss(self, X, y=None):
        scores, cache = affine_forward(X, self.params["W"], self.params["b"])
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        _, dW, db = affine_backward(dscores, cache)
        return loss, {"W": dW, "b": db}


labels = np.random.randint(0, 3, 60)
X = np.random.randn(60, 3, 8, 8) + labels[:, None, None, None]
data = {"X_train": X[:40], "y_train": labels[:40], "X_val": X[40:], "y_val": labels[40:]}
for rule in (sgd, sgd_momentum, rmsprop, adam):
    solver = Solver(
        Model(), data, update_rule=rule.__name__, optim_config={"learning_rate": 1e-3},
        num_epochs=10, batch_size=10, checkpoint_name=rule.__name__, print_every=20,
    )
    solver.train()
    results.append(np.mean(solver.loss_history[-4:]) < np.mean(solver.loss_history[:4]))
results.append(set(load_checkpoint("adam_epoch_10.npz")["params"]) == {"W", "b"})
ok = all(results)
