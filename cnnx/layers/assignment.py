"""Checks of attribute assignment: a Parameter is not replaced by an array, and the like."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.layers.parameter import Parameter

__all__ = ["check_assignment"]


def check_assignment(layer: Any, name: str, value: Any) -> None:
    """TypeError for a value that forward would use, but that would be neither trained nor saved.

    name   an attribute that holds a Parameter or a layer, or is declared as a parameter or buffer
    value  not None, a Parameter or a layer
    """
    what, kind = f"{type(layer).__name__}.{name}", type(value).__name__
    if name in layer.buffer_names:
        if not isinstance(value, (np.ndarray, np.generic)):
            raise TypeError(f"{what} is a buffer: {kind} given, expected an array or None")
    elif name in layer.parameter_names or isinstance(vars(layer).get(name), Parameter):
        raise TypeError(
            f"{what} is a Parameter or None: {kind} given; for other values write "
            f"layer.{name}.data = ..., for another parameter layer.{name} = cnnx.Parameter(...)"
        )
    else:
        raise TypeError(f"{what} is a layer: {kind} given, expected a layer or None")
