"""`If`: one of two graphs; and the results of layers with several outputs."""

# Design:
# A node of a Graph has one output. So a layer of several returns one array of arrays (dtype
# object), and an `Item` for each output picks one of them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from cnnx.graph.graph import Graph
from cnnx.onnx.layers.operator import Operator, operator

__all__ = ["If", "Item", "packed"]


def packed(arrays: Sequence[Any]) -> np.ndarray:
    """An array of arrays."""
    y = np.empty(len(arrays), object)
    for number, array in enumerate(arrays):  # at once, NumPy would join those of equal shapes
        y[number] = array
    return y


@operator
class Item(Operator):
    """y = the array of this number in an array of arrays."""

    settings: ClassVar[tuple[str, ...]] = ("number",)

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = int(number)

    def compute(self, x: Any) -> Any:
        return x[self.number]

    def gradients(self, dy: Any, y: Any, *inputs: Any) -> Any:
        raise RuntimeError(
            "an operator of several outputs, such as If, has no backward: it cannot be "
            "trained through"
        )


@operator
class If(Operator):
    """y = then(condition, *xs) if the condition is true, else otherwise(condition, *xs).

    then, otherwise  graphs of the same inputs, and of as many outputs: an array of arrays if there
                     are several

    The condition has one element. Without any, as in a run of an empty batch, it is false.
    """

    _settles = True
    settings: ClassVar[tuple[str, ...]] = ("then", "otherwise")

    def __init__(self, then: Graph, otherwise: Graph) -> None:
        super().__init__()
        self.then, self.otherwise = then, otherwise

    def taken(self, condition: Any) -> Graph:
        """The graph for this condition. ValueError if it has several elements."""
        if np.size(condition) > 1:
            raise ValueError(f"If: the condition has shape {np.shape(condition)}, expected one")
        return self.then if np.any(condition) else self.otherwise

    def forward(self, condition: Any, *xs: Any) -> Any:
        taken = self.taken(condition)
        y = taken.forward(condition, *xs)
        self._save(taken)
        # Always new memory, whichever branch is taken: a plan reuses that of the inputs.
        return packed([np.array(each) for each in y]) if isinstance(y, tuple) else np.array(y)

    def backward(self, dy: Any) -> Any:
        (taken,) = self._saved()
        if len(taken.wiring().outputs) > 1:
            raise RuntimeError(
                "If of several outputs has no backward: it cannot be trained through"
            )
        return taken.backward(dy)
