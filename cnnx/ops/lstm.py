"""Long short-term memory, forward."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .gate import gate

DIRECTIONS = ("forward", "reverse", "bidirectional")


def lstm(
    x: Any,
    w: Any,
    r: Any,
    b: Any,
    h: Any = None,
    c: Any = None,
    direction: str = "forward",
) -> np.ndarray:
    """Long short-term memory. For t = 0, 1, ...

        i, o, f, g = w x[t] + r h + b, each of `hidden` numbers
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)

    The order of the gates is that of ONNX; PyTorch's is i, f, g, o.

    x          (steps, n, inputs)
    w, r       (sides, 4*hidden, inputs) and (sides, 4*hidden, hidden)
    b          (sides, 8*hidden): a part for w and one for r, which are added
    h, c       (sides, n, hidden), at the start; None: zeros
    direction  "forward", "reverse": from the last step to the first; or "bidirectional": two sides,
               the second one in reverse

    returns    y (steps + 2, sides, n, hidden): h after each step; then the last h, y[-2], and the
               last c, y[-1]: one array, so that it is one value of a plan

    There is no backward.

    >>> w, r, b = np.ones((1, 4, 2)), np.zeros((1, 4, 1)), np.zeros((1, 8))
    >>> ops.lstm(np.ones((3, 1, 2)), w, r, b).round(3).ravel().tolist()
    [0.608, 0.811, 0.862, 0.862, 2.256]

    Source: Hochreiter, Schmidhuber, Long Short-Term Memory (1997).
    """
    arrays, _ = _checked("lstm", (x, w, r, b, h, c), direction)
    return backend().lstm(*arrays, direction)


@gate("x", "w", "r", "b", "h", "c", optional=("h", "c"))
def _checked(op: str, shapes: Any, direction: Any) -> None:
    x, w, r, b, h, c = shapes
    checks.choice(op, "direction", direction, DIRECTIONS)
    checks.dimensions(op, "x", x, 3)
    checks.dimensions(op, "r", r, 3)
    steps, n, inputs = x
    sides, hidden = (2 if direction == "bidirectional" else 1), r[2]
    if not inputs or not hidden:
        raise ValueError(f"{op}: x has shape {x} and r has shape {r}: there is nothing to multiply")
    why = "{} sides, {} inputs, {} hidden units"
    for name, shape, expected in (
        ("w", w, (sides, 4 * hidden, inputs)),
        ("r", r, (sides, 4 * hidden, hidden)),
        ("b", b, (sides, 8 * hidden)),
    ):
        checks.same_shape(op, name, shape, expected, why, sides, inputs, hidden)
    for name, shape in (("h", h), ("c", c)):
        if shape is not None:
            checks.same_shape(op, name, shape, (sides, n, hidden), "sides, samples, hidden units")
    checks.array_size(op, (steps + 2, sides, n, hidden))
