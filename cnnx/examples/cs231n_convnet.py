"""The network of the last NumPy exercise of the CS231n course, on CIFAR-10, with cnnx's kernels.

Convolution 7x7, ReLU, pooling, two affine layers, written as in the course: one forward and one
backward function per layer, from `cnnx.compat.cs231n`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnx.compat.cs231n import (
    Solver,
    affine_backward,
    affine_forward,
    affine_relu_backward,
    affine_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
    softmax_loss,
)
from cnnx.data import load_cifar10
from cnnx.examples import arguments

POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}


class ThreeLayerConvNet:
    """conv - relu - 2x2 max pool - affine - relu - affine - softmax, for images (n, 3, 32, 32).

    filters  of 7x7 pixels          hidden  units          reg  L2 regularisation strength
    """

    def __init__(self, filters: int = 32, hidden: int = 100, reg: float = 1e-3) -> None:
        shapes = {"W1": (filters, 3, 7, 7), "W2": (filters * 16 * 16, hidden), "W3": (hidden, 10)}
        self.reg = reg
        self.params: dict[str, np.ndarray] = {}
        for number, (name, shape) in enumerate(shapes.items(), start=1):
            inputs = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
            weights = np.sqrt(2 / inputs) * np.random.randn(*shape)
            outputs = shape[-1] if len(shape) == 2 else shape[0]
            self.params[name] = weights.astype(np.float32)
            self.params[f"b{number}"] = np.zeros(outputs, np.float32)

    def loss(self, X: np.ndarray, y: Any = None) -> Any:
        """Scores for X alone; with labels y, the loss and the gradients of `params`."""
        p = self.params
        conv_param = {"stride": 1, "pad": 3}
        out, conv_cache = conv_relu_pool_forward(X, p["W1"], p["b1"], conv_param, POOL)
        out, hidden_cache = affine_relu_forward(out, p["W2"], p["b2"])
        scores, scores_cache = affine_forward(out, p["W3"], p["b3"])
        if y is None:
            return scores

        loss, dout = softmax_loss(scores, y)
        grads: dict[str, np.ndarray] = {}
        dout, grads["W3"], grads["b3"] = affine_backward(dout, scores_cache)
        dout, grads["W2"], grads["b2"] = affine_relu_backward(dout, hidden_cache)
        _, grads["W1"], grads["b1"] = conv_relu_pool_backward(dout, conv_cache)
        for name in ("W1", "W2", "W3"):
            loss += 0.5 * self.reg * float(np.sum(p[name] ** 2))
            grads[name] += self.reg * p[name]
        return loss, grads


def main(words: Sequence[str] | None = None) -> float:
    """Train, print, return the test accuracy. words: command line; None: that of the process."""
    args = arguments.images("cs231n_convnet", __doc__, epochs=1).parse_args(words)
    train, test = load_cifar10(args.data)
    mean = train.x.mean(axis=0)
    print(f"{len(train):,} training images, {len(test):,} test images")

    np.random.seed(0)  # the course draws weights and batches from NumPy's global generator
    data = {
        "X_train": train.x - mean,
        "y_train": train.y,
        "X_val": test.x[:1000] - mean,
        "y_val": test.y[:1000],
    }
    solver = Solver(
        ThreeLayerConvNet(),
        data,
        update_rule="adam",
        optim_config={"learning_rate": 1e-3},
        num_epochs=args.epochs,
        batch_size=50,
        print_every=100,
    )
    solver.train()

    accuracy = solver.check_accuracy(test.x - mean, test.y)
    print(f"test accuracy {100 * accuracy:.2f} %")
    return accuracy


if __name__ == "__main__":
    main()
