"""`Concat`: join several inputs, or the outputs of branches, along an axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnnx import checks, ops
from cnnx.graph.container import Container
from cnnx.graph.wiring import Node, Wiring, is_patched
from cnnx.layers.base import Layer, builtin
from cnnx.layers.merge import of_one_dtype

__all__ = ["Concat"]


@builtin
class Concat(Container):
    """Join the inputs, or the outputs of branches of a single input, along an axis.

    (n, c_1, h, w), ..., (n, c_k, h, w)  ->  (n, c_1 + ... + c_k, h, w)    along axis 1

    branches  layers that all take the same x; their outputs are joined. None: the inputs are joined
    axis      to join along; 1, the channels, by default; -1 is the last one. The sizes along all
              other axes must be equal

    y and all gradients have the dtype of the first array; the others are cast to it. Without
    branches there are two or more inputs, and `backward` returns a tuple: its part of dy for each
    input. With branches it returns the sum of their gradients. Branches are named "0", "1", ... in
    `state_dict`. TypeError for a branch that is not a layer; ValueError for fewer than two inputs,
    and, with all shapes, for sizes that do not match.

    C. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015; G. Huang, Z. Liu, L. van der
    Maaten, K. Weinberger, "Densely Connected Convolutional Networks", CVPR 2017.

    Example::

        y = Concat()(np.ones((2, 6, 8, 8)), np.ones((2, 4, 8, 8)))      # (2, 10, 8, 8)
        layer = Concat(Conv2D(10, 8, 1), Conv2D(10, 4, 3, padding=1))
        layer(y).shape                                                  # (2, 12, 8, 8)
    """

    def __init__(self, *branches: Layer, axis: int = 1) -> None:
        for branch in branches:
            if not isinstance(branch, Layer):
                raise TypeError(f"Concat: {branch!r} is a {type(branch).__name__}, not a layer")
        self.branches = branches
        self.axis = checks.integer("Concat", "axis", axis, least=-(2**31))

    def forward(self, *xs: Any) -> Any:
        if self.branches:
            return super().forward(*xs)
        arrays = of_one_dtype(self, xs)
        y = ops.concat(arrays, self.axis)
        self._save([x.shape[self.axis] for x in arrays], y.dtype)
        return y

    def backward(self, dy: Any, need_dx: bool = True) -> Any:
        if self.branches:
            return super().backward(dy, need_dx)
        sizes, dtype = self._saved()
        return ops.split(self._float(dy, dtype), sizes, self.axis)

    def opens(self) -> bool:
        return type(self) is Concat and bool(self.branches) and not is_patched(self)

    def wiring(self) -> Wiring:
        count = len(self.branches)
        nodes = [Node(str(i), each, (0,), (i + 1,)) for i, each in enumerate(self.branches)]
        if count == 1:
            return Wiring(1, tuple(nodes), (1,))
        join = Node("concat", Concat(axis=self.axis), tuple(range(1, count + 1)), (count + 1,))
        return Wiring(1, (*nodes, join), (count + 1,))

    def parts(self) -> list[Any]:
        return list(self.branches)

    def children(self) -> Iterator[tuple[str, Layer]]:
        return iter([(str(i), branch) for i, branch in enumerate(self.branches)])

    def flow(self, *input_shapes: Any) -> Iterator[tuple[str, Layer, tuple[Any, ...]]]:
        return super().flow(*input_shapes) if self.branches else iter(())

    def config(self) -> dict[str, Any]:
        return {"branches": self.branches, "axis": self.axis}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(*config["branches"], axis=config["axis"])

    def extra_repr(self) -> str:
        return f"axis={self.axis}"
