"""Handwritten digits without a convolution: 784 pixels, 128 hidden units, 10 classes.

Two weight matrices reach about 97.5 % on MNIST. The model is `cnnx.models.mlp(784, [128])` layer by
layer, and the loop is `cnnx.fit` without history, progress bar and checks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import cnnx
from cnnx import Adam, CrossEntropyLoss, Flatten, Linear, ReLU, Sequential
from cnnx.data import batches, load_mnist
from cnnx.examples import arguments


def main(words: Sequence[str] | None = None) -> float:
    """Train, print, return the test accuracy. words: command line; None: that of the process."""
    args = arguments.images("mnist_mlp", __doc__, epochs=5).parse_args(words)
    train, test = load_mnist(args.data)  # x (n, 1, 28, 28) float32 in [0, 1], y (n,) int64
    print(f"{len(train):,} training images, {len(test):,} test images")

    cnnx.manual_seed(0)  # weights are initialised when a layer is created
    model = Sequential(Flatten(), Linear(784, 128), ReLU(), Linear(128, 10))
    print(model.summary((1, 28, 28)))

    optimizer, loss_fn = Adam(model.parameters(), lr=1e-3), CrossEntropyLoss()
    for epoch in range(1, args.epochs + 1):
        start, total = time.perf_counter(), 0.0
        for x, y in batches(train, 64, shuffle=True, seed=epoch):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            model.backward(
                loss_fn.backward(), need_dx=False
            )  # the gradient of the pixels is not needed
            optimizer.step()
            total += loss * len(x)
        accuracy = cnnx.evaluate(model, test).accuracy
        seconds = time.perf_counter() - start
        print(f"epoch {epoch}: loss {total / len(train):.4f}, test accuracy ", end="")
        print(f"{100 * accuracy:.2f} %, {seconds:.1f} s", flush=True)
    return accuracy


if __name__ == "__main__":
    main()
