"""The table of operators, and the decorator that adds a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["CONVERTERS", "converter"]

Converter = Callable[[Any], Any]  # of a `Node`: its output, an array or `Value`, or several

# (operator, the opset since which this function is right) -> the function
CONVERTERS: dict[tuple[str, int], Converter] = {}


def converter(*operators: str, since: int = 1) -> Callable[[Converter], Converter]:
    """Add a function to the table, for operators from an opset on."""

    def add(function: Converter) -> Converter:
        for operator in operators:
            CONVERTERS[operator, since] = function
        return function

    return add
