"""XOR: what a hidden layer is for.

Class 1 are the points whose two numbers differ. No straight line has them on one side and the
others on the other, so a single Linear layer can not learn this (Minsky and Papert, Perceptrons,
1969). With eight hidden units between two of them it takes a blink.

The loop below is the whole of training: forward, loss, backward, step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import cnnx
from cnnx import Adam, BCEWithLogitsLoss, Linear, Sequential, Tanh
from cnnx.examples import arguments

POINTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
LABELS = np.array([0, 1, 1, 0])


def main(words: Sequence[str] | None = None) -> float:
    """Train, print the table of truth, return the accuracy. words: those of the command line."""
    parser = arguments.points("xor", __doc__, epochs=200, default="the four points of XOR")
    args = parser.parse_args(words)
    x, y = (POINTS, LABELS) if args.data is None else args.data
    if y.max() > 1:
        parser.error(f"--data: there are labels up to {y.max()}, expected 0 and 1")
    target = y[:, None]  # one output a point: the logit of "class 1"

    for hidden in (0, 8):
        cnnx.manual_seed(0)
        layers = [Linear(2, hidden), Tanh(), Linear(hidden, 1)] if hidden else [Linear(2, 1)]
        model = Sequential(*layers)
        optimizer, loss_fn = Adam(model.parameters(), lr=0.05), BCEWithLogitsLoss()
        for _ in range(args.epochs):
            optimizer.zero_grad()
            loss = loss_fn(model(x), target)
            model.backward(loss_fn.backward())
            optimizer.step()
        probability = cnnx.predict_proba(model, x)[:, 0]
        accuracy = float(((probability >= 0.5) == y).mean())
        print(f"{hidden} hidden units: loss {loss:.4f}, accuracy {100 * accuracy:.0f} %")

    print("\n   x0     x1   class   probability of class 1")
    for (a, b), label, p in list(zip(x, y, probability))[:8]:
        print(f"{a:5.2f}  {b:5.2f}   {label:5d}   {p:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
