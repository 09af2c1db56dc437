"""XOR: why a network needs a hidden layer.

Class 1 contains the points whose two numbers differ. No straight line separates them from the
others, so a single Linear layer cannot learn this (Minsky and Papert, Perceptrons, 1969). Two
Linear layers with eight hidden units learn it in a fraction of a second.

The loop below is a complete training loop: forward, loss, backward, step.
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
    """Train, print the truth table, return the accuracy. words: command line."""
    parser = arguments.points("xor", __doc__, epochs=200, default="the four points of XOR")
    args = parser.parse_args(words)
    x, y = (POINTS, LABELS) if args.data is None else args.data
    if y.max() > 1:
        parser.error(f"--data: there are labels up to {y.max()}, expected 0 and 1")
    target = y[:, None]  # one output per point: the logit of "class 1"

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
