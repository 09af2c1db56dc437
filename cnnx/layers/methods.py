"""`fit`, `evaluate` and `predict` as methods of every layer."""

# Design:
# These functions belong above all layers in the order of imports: they know data sets, losses and
# optimisers, of which a layer knows nothing. As methods they are what users of other libraries look
# for, so this file, and it alone, imports upwards, inside of the methods, when they are called.
# Their arguments are listed once, at the functions. `self` is a Layer, but mypy does not accept a
# subclass as its type.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnx.history import History
    from cnnx.inference import Scores

__all__ = ["Methods"]


class Methods:
    """The functions of the same names, with the layer as the model."""

    def fit(self: Any, train: Any, y: Any = None, **options: Any) -> History:
        """Train this model: `cnnx.fit(self, train, **options)`, with train or x, y.

        Example: ``history = model.fit(x, y, epochs=5, seed=0)``
        """
        from cnnx.training import fit

        return fit(self, train if y is None else (train, y), **options)

    def evaluate(self: Any, data: Any, y: Any = None, **options: Any) -> Scores:
        """Loss and metrics: `cnnx.evaluate(self, data, **options)`, with data or x, y.

        Example: ``model.evaluate(test).accuracy``
        """
        from cnnx.inference import evaluate

        return evaluate(self, data if y is None else (data, y), **options)

    def predict(self: Any, x: Any, batch_size: int = 256) -> Any:
        """The outputs for all samples: `cnnx.predict(self, x)`.

        Example: ``logits = model.predict(test.x)``
        """
        from cnnx.inference import predict

        return predict(self, x, batch_size)
