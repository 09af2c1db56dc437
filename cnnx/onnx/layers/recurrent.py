"""`LSTM`: a recurrent layer with a memory cell."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from cnnx import ops
from cnnx.onnx.layers.operator import Operator, is_float, operator

__all__ = ["LSTM"]


@operator
class LSTM(Operator):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997). For t = 0, 1, ...

        i, o, f, g = w x[t] + r h + b, each of `hidden` numbers; * is elementwise
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)

    The inputs are x (steps, n, in), w (sides, 4 hidden, in), r (sides, 4 hidden, hidden), b (sides,
    8 hidden), a part for w and one for r, and those of `given`:

    lengths    (n,): the steps of each sequence, after which its y is 0; else all
    h, c       (sides, n, hidden): at the start; else zeros
    peepholes  (sides, 3 hidden): factors of c that are added to i, o and f

    returns    y (steps + 2, sides, n, hidden): h after each step, then the last h, then the last c
    direction  "forward", "reverse": from the last step to the first; or "bidirectional": both
    clip       limits what enters the sigmoids and tanh(g) to -clip ... clip
    coupled    sigmoid(f) is replaced by 1 - sigmoid(i)
    batch_first  x is (n, steps, in), y (n, steps + 2, sides, hidden), h and c (n, sides, hidden)
    """

    folds: ClassVar[bool] = False
    trains: ClassVar[range] = range(1, 4)
    settings: ClassVar[tuple[str, ...]] = (
        "direction",
        "given",
        "clip",
        "coupled",
        "batch_first",
    )

    def __init__(
        self,
        direction: str = "forward",
        given: tuple[str, ...] = (),
        clip: float | None = None,
        coupled: bool = False,
        batch_first: bool = False,
    ) -> None:
        super().__init__()
        self.direction, self.given = direction, tuple(given)
        self.clip, self.coupled, self.batch_first = clip, bool(coupled), bool(batch_first)

    def compute(self, x: Any, w: Any, r: Any, b: Any, *others: Any) -> Any:
        given = dict(zip(self.given, others, strict=True))
        if self._has_op() and is_float(x, w, r, b, *others):
            return ops.lstm(x, w, r, b, given.get("h"), given.get("c"), self.direction)
        swapped = ("h", "c") if self.batch_first else ()
        given.update({name: given[name].swapaxes(0, 1) for name in swapped if name in given})
        x = np.ascontiguousarray(x.swapaxes(0, 1)) if self.batch_first else x
        sides = [self._side(i, x, w, r, b, given) for i in range(len(w))]
        y, h, c = (np.stack(each, axis) for each, axis in zip(zip(*sides), (1, 0, 0)))
        y = np.concatenate([y, h[None], c[None]])
        return np.ascontiguousarray(y.transpose(2, 0, 1, 3)) if self.batch_first else y

    def _has_op(self) -> bool:
        """Whether it is what `ops.lstm` computes."""
        plain = self.clip is None and not self.coupled and not self.batch_first
        return plain and set(self.given) <= {"h", "c"}

    def macs(self, *input_shapes: Any) -> int:
        """Of one step for all sequences."""
        batch = 1 if self.batch_first else input_shapes[0][0]
        return batch * sum(self.weights[i].data.size for i in (1, 2) if i in self.weights)

    def _side(self, i: int, x: Any, w: Any, r: Any, b: Any, given: Any) -> tuple[Any, Any, Any]:
        """y (steps, n, hidden), and the last h and c, (n, hidden), of one direction."""
        steps, n, _ = x.shape
        hidden = r.shape[2]
        zeros = np.zeros((n, hidden), x.dtype)
        h, c = (given[name][i] if name in given else zeros for name in ("h", "c"))
        lengths = given.get("lengths")
        peepholes = given["peepholes"][i] if "peepholes" in given else None
        inputs = ops.linear(x, w[i], b[i, : 4 * hidden] + b[i, 4 * hidden :])  # of all steps
        y = np.zeros((steps, n, hidden), x.dtype)
        backwards = self.direction == "reverse" or i == 1
        for t in reversed(range(steps)) if backwards else range(steps):
            next_h, next_c = self._step(inputs[t] + ops.linear(h, r[i]), c, peepholes)
            if lengths is None:
                y[t] = h = next_h
                c = next_c
            else:  # a sequence that has ended, or backwards has not begun, stays as it is
                runs = (t < lengths)[:, None]
                y[t] = np.where(runs, next_h, 0)
                h, c = np.where(runs, next_h, h), np.where(runs, next_c, c)
        return y, h, c

    def _step(self, gates: Any, c: Any, peepholes: Any) -> tuple[Any, Any]:
        """The next h and c, from w x + r h + b."""
        i, o, f, g = np.split(gates, 4, 1)
        of_i, of_o, of_f = (0, 0, 0) if peepholes is None else np.split(peepholes, 3)
        enters = sigmoid(self._clipped(i + of_i * c))
        stays = 1 - enters if self.coupled else sigmoid(self._clipped(f + of_f * c))
        c = stays * c + enters * ops.tanh(np.ascontiguousarray(self._clipped(g)))
        return sigmoid(self._clipped(o + of_o * c)) * ops.tanh(c), c

    def _clipped(self, x: Any) -> Any:
        return x if self.clip is None else np.clip(x, -self.clip, self.clip)


def sigmoid(x: Any) -> Any:
    return ops.sigmoid(np.ascontiguousarray(x))
