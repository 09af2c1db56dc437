"""`Parameter`: a weight array and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks
from cnnx.layers.dtype import FLOATS

__all__ = ["Parameter"]


class Parameter:
    """An array that an optimiser updates, and its gradient.

    data           float32 or float64 array, C-contiguous, writeable
    grad           None, or an array like data: the sum of all gradients since `zero_grad`
    name           its name in the layer, such as ``"weight"``
    requires_grad  False: backward and optimisers skip it (see `Layer.freeze`)

    `data` can be set to any array of the same shape. A contiguous float32 or float64 array is
    stored without a copy, and sets the dtype; others are converted first.

    Example::

        weight = Parameter(np.zeros((3, 4), np.float32), name="weight")
        weight.data = np.ones((3, 4))          # float64 from here on
    """

    __slots__ = ("_data", "_grad", "name", "requires_grad")

    def __init__(self, data: Any, name: str = "", requires_grad: bool = True) -> None:
        if not isinstance(name, str):
            raise TypeError(
                f"Parameter: name is {name!r}, expected a word: write requires_grad={name!r}"
                if isinstance(name, bool)
                else f"Parameter: name is {name!r}, expected a word"
            )
        self._data = _as_parameter_array(name, data, np.dtype(np.float32))
        self._grad: np.ndarray | None = None
        self.name = name
        self.requires_grad = requires_grad

    @property
    def data(self) -> np.ndarray:
        """The values. Assigning checks the shape and makes the array contiguous."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        array = _as_parameter_array(self.name, value, self._data.dtype)
        if array.shape != self._data.shape:
            raise ValueError(
                f"Parameter {self.name!r}: data has shape {array.shape}, expected {self.shape}"
            )
        self._data = array
        if self._grad is not None:
            self._grad = self._grad.astype(array.dtype, copy=False)

    @property
    def grad(self) -> np.ndarray | None:
        """The gradient so far, or None. Assigning checks the shape and casts to data's dtype."""
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            value = _as_parameter_array(f"{self.name}.grad", value, self._data.dtype)
            if value.shape != self._data.shape:
                raise ValueError(
                    f"Parameter {self.name!r}: grad has shape {value.shape}, expected {self.shape}"
                )
            value = value.astype(self._data.dtype, copy=False)
        self._grad = value

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of data."""
        return self._data.shape

    @property
    def size(self) -> int:
        """The number of elements of data."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._data.dtype

    def accumulate(self, grad: np.ndarray) -> None:
        """Add a gradient, as backward does: after `zero_grad` it is stored without a copy."""
        if not self.requires_grad:
            return
        if self._grad is not None:
            self._grad += grad
        elif checks.plain(grad, self._data.dtype) and grad.shape == self._data.shape:
            self._grad = grad  # the usual case
        else:
            self.grad = grad

    def zero_grad(self) -> None:
        """Set the gradient to None."""
        self._grad = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickles and copies have no gradient: it belongs to a training step, not to the model.
        return Parameter, (self._data, self.name, self.requires_grad)

    def __repr__(self) -> str:
        frozen = "" if self.requires_grad else ", requires_grad=False"
        return f"Parameter({self.name!r}, shape={self.shape}, dtype={self.dtype}{frozen})"


def _as_parameter_array(name: str, value: Any, default: np.dtype[Any]) -> np.ndarray:
    if checks.plain(value):
        return value  # the usual case: every gradient of every step
    checks.unmasked(f"Parameter {name!r}", "data", value)
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"Parameter {name!r}: data has dtype {array.dtype}, expected float32 or float64"
        )
    if array.dtype not in FLOATS:  # another byte order or type
        native = array.dtype.newbyteorder("=")
        array = array.astype(native if native in FLOATS else default)
    # An optimiser writes into this array, so it must be contiguous and writeable.
    return np.require(array, None, ["C", "A", "W"])
