"""`Embedding`: a trainable vector for each number."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from cnnx import checks, init, ops
from cnnx.layers.base import Layer, builtin
from cnnx.layers.parameter import Parameter

__all__ = ["Embedding"]


@builtin
class Embedding(Layer):
    """y[...] = weight[x[...]]: a trainable vector for each number, such as the words of a text.
    (...) integers -> (..., embedding_dim)

    num_embeddings  numbers from 0 to num_embeddings - 1 are known
    embedding_dim   elements of a vector
    padding_idx     a number whose vector starts as zeros and is not trained; a negative one counts
                    from the end

    weight (num_embeddings, embedding_dim) is drawn from a normal distribution, as in PyTorch.
    Integers have no gradient: backward returns zeros, so that a whole model's can. TypeError for x
    of floats, and for PyTorch's `max_norm` and `sparse`, which are not there; ValueError, with the
    number, for one that is not known.

    Example: ``Embedding(10, 3)(np.array([[1, 2], [2, 9]])).shape`` is ``(2, 2, 3)``.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("weight",)
    _takes_integers: ClassVar[bool] = True

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None
    ) -> None:
        name = "Embedding"
        self.num_embeddings = n = checks.integer(name, "num_embeddings", num_embeddings, least=1)
        self.embedding_dim = checks.integer(name, "embedding_dim", embedding_dim, least=1)
        if padding_idx is not None:
            padding_idx = checks.integer(name, "padding_idx", padding_idx, least=-n, most=n - 1) % n
        self.padding_idx = padding_idx
        shape = (n, self.embedding_dim)
        checks.array_size(name, shape, "weight")
        weight = init.normal(shape)
        if padding_idx is not None:
            weight[padding_idx] = 0
        self.weight = Parameter(weight, "weight")

    def forward(self, x: Any) -> Any:
        x = checks.from_anything("Embedding", "x", x)
        if x.dtype.kind not in "iu" and x.size:  # an empty batch shows the output's shape
            raise TypeError(
                f"Embedding: x has dtype {x.dtype}, but integers are expected: use "
                "x.astype(np.int64)"
            )
        y = ops.embedding(x, self.weight.data)
        self._save(x)
        return y

    def backward(self, dy: Any, need_dx: bool = True) -> Any:
        (x,) = self._saved()
        dy = self._float(dy, self.weight.dtype)
        rows = self.num_embeddings
        self.weight.accumulate(ops.embedding_backward(dy, x, rows, self.padding_idx))
        return np.zeros(x.shape, dy.dtype) if need_dx else None

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
