"""Images of clothing: the CNN `cnnx.models.mnist_cnn` on Fashion-MNIST.

Two convolutions with pooling, a Linear layer with dropout, Adam(1e-3), batches of 64: 89.5 % after
five epochs, and each further epoch adds a little. The table at the end shows which classes are
hard: a shirt looks like a T-shirt, a pullover, a coat and a dress.
"""

from __future__ import annotations

from collections.abc import Sequence

import cnnx
from cnnx import Adam
from cnnx.data import load_fashion_mnist
from cnnx.examples import arguments
from cnnx.metrics import confusion_matrix


def main(words: Sequence[str] | None = None) -> float:
    """Train, print, return the test accuracy. words: command line; None: that of the process."""
    args = arguments.images("fashion_mnist", __doc__, epochs=5).parse_args(words)
    train, test = load_fashion_mnist(args.data)
    print(f"{len(train):,} training images, {len(test):,} test images")

    cnnx.manual_seed(0)  # weights are initialised when a layer is created
    model = cnnx.models.mnist_cnn()
    print(model.summary((1, 28, 28)))
    cnnx.fit(
        model,
        train,
        validation=test,
        epochs=args.epochs,
        batch_size=64,
        optimizer=Adam(model.parameters(), lr=1e-3),
        seed=0,
    )

    labels = cnnx.predict_labels(model, test)
    table = confusion_matrix(labels, test.y, classes=10)  # rows: true classes
    for label, row in enumerate(table):
        right, n = row[label], row.sum()
        row[label] = 0
        other = test.classes[row.argmax()] if row.any() else "none"
        if n:
            name = test.classes[label]
            print(f"{name:<12} {100 * right / n:6.1f} %   most often confused with: {other}")
    accuracy = float((labels == test.y).mean())
    print(f"test accuracy {100 * accuracy:.2f} %")
    return accuracy


if __name__ == "__main__":
    main()
