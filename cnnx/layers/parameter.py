"""`Parameter`: a weight array and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnx import checks
from cnnx.layers.dtype import FLOATS

__all__ = ["Parameter"]

_store = object.__setattr__


class Parameter:
    """An array that an optimiser updates, and its gradient.

    data           float32 or float64 array, C-contiguous, writeable
    grad           None, or an array like data: the sum of all gradients since `zero_grad`
    name           its name in the layer, such as ``"weight"``
    requires_grad  False: backward and optimisers skip it (see `Layer.freeze`)
    on_grad        None, or a function of the parameter that `accumulate` calls at its end, with
                   which `cnnx.distributed` sends a gradient while backward still runs

    `data` can be set to any array of the same shape. A contiguous float32 or float64 array is
    stored without a copy, and sets the dtype; others are converted first.

    Example::

        weight = Parameter(np.zeros((3, 4), np.float32), name="weight")
        weight.data = np.ones((3, 4))          # float64 from here on
    """

    __slots__ = ("data", "grad", "name", "on_grad", "requires_grad")
    data: Any  # an array; Any, as everything that can be converted may be assigned
    grad: Any
    on_grad: Callable[[Parameter], None] | None

    def __init__(self, data: Any, name: str = "", requires_grad: bool = True) -> None:
        if not isinstance(name, str):
            raise TypeError(
                f"Parameter: name is {name!r}, expected a word: write requires_grad={name!r}"
                if isinstance(name, bool)
                else f"Parameter: name is {name!r}, expected a word"
            )
        _store(self, "data", _as_parameter_array(name, data, np.dtype(np.float32)))
        _store(self, "grad", None)
        _store(self, "on_grad", None)
        self.name = name
        self.requires_grad = requires_grad

    def __setattr__(self, attribute: str, value: Any) -> None:
        # Reading is more frequent, several times for each op, and needs no call.
        if attribute == "data":
            value = self._fitting("data", _as_parameter_array(self.name, value, self.dtype))
            if self.grad is not None:
                _store(self, "grad", self.grad.astype(value.dtype, copy=False))
        elif attribute == "grad" and value is not None:
            array = _as_parameter_array(f"{self.name}.grad", value, self.dtype)
            value = self._fitting("grad", array).astype(self.dtype, copy=False)
        _store(self, attribute, value)

    def _fitting(self, what: str, array: np.ndarray) -> np.ndarray:
        if array.shape != self.shape:
            raise ValueError(
                f"Parameter {self.name!r}: {what} has shape {array.shape}, expected {self.shape}"
            )
        return array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of data."""
        return self.data.shape

    @property
    def size(self) -> int:
        """The number of elements of data."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.data.dtype

    def accumulate(self, grad: np.ndarray) -> None:
        """Add a gradient, as backward does: after `zero_grad` it is stored without a copy."""
        if not self.requires_grad:
            return
        if self.grad is not None:
            total = self.grad
            total += grad
        elif checks.plain(grad, self.data.dtype) and grad.shape == self.data.shape:
            _store(self, "grad", grad)  # the usual case
        else:
            self.grad = grad
        if self.on_grad is not None:
            self.on_grad(self)

    def zero_grad(self) -> None:
        """Set the gradient to None."""
        _store(self, "grad", None)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickles and copies have no gradient: it belongs to a training step, not to the model.
        return Parameter, (self.data, self.name, self.requires_grad)

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
