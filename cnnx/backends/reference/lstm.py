"""Long short-term memory."""

from __future__ import annotations

import numpy as np

from .activation import sigmoid


def lstm(x, w, r, b, h, c, direction):
    """A recurrent layer with a memory cell. For t = 0, 1, ..., or backwards on a side that is
    reversed: the only one, if direction is "reverse", or the second one.

    i, o, f, g = w x[t] + r h + b[:4*hidden] + b[4*hidden:], each of `hidden` numbers
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)

    x        (steps, n, inputs)
    w, r, b  (sides, 4*hidden, inputs), (sides, 4*hidden, hidden), (sides, 8*hidden)
    h, c     (sides, n, hidden), at the start; None: zeros

    returns  y (steps + 2, sides, n, hidden): y[t] is h after step t, then come the last h and the
             last c.
    Source: Hochreiter, Schmidhuber, Long Short-Term Memory (1997), with the forget gate f of Gers,
    Schmidhuber, Cummins (2000).
    """
    steps, n, _ = x.shape
    sides, _, hidden = r.shape
    y = np.zeros((steps + 2, sides, n, hidden), x.dtype)
    for side in range(sides):
        last_h, last_c = (y[-2, side], y[-1, side])
        last_h[...], last_c[...] = (0 if s is None else s[side] for s in (h, c))
        bias = b[side, : 4 * hidden] + b[side, 4 * hidden :]
        backwards = direction == "reverse" or side == 1
        for t in reversed(range(steps)) if backwards else range(steps):
            gates = x[t] @ w[side].T + last_h @ r[side].T + bias
            i, o, f, g = np.split(gates, 4, 1)
            last_c[...] = sigmoid(f) * last_c + sigmoid(i) * np.tanh(g)
            last_h[...] = sigmoid(o) * np.tanh(last_c)
            y[t, side] = last_h
    return y
