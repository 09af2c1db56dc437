"""Packages whose names are imported when they are first asked for.

>>> WHERE = places({"linear": "Linear", "pool": "AvgPool2D MaxPool2D"})
>>> WHERE["MaxPool2D"]
'pool'
>>> def __getattr__(name):  # of the package (PEP 562)
...     return find(__name__, WHERE, name)
"""

# Design:
# Python takes a third of a millisecond to import a module, and cnnx has 400, of which a program
# that runs a network from a file needs fifty. So the large packages import nothing: they have a
# table of their names, and the same imports under TYPE_CHECKING, for type checkers and readers.

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["find", "places"]


def places(names: Mapping[str, str]) -> dict[str, str]:
    """{name: module} from the names of each module, separated by spaces."""
    return {name: module for module, listed in names.items() for name in listed.split()}


def find(package: str, where: Mapping[str, str], name: str) -> Any:
    """The object called `name`, from its module, also as an attribute of the package from now on.

    where  the module of each name, relative to the package

    AttributeError for a name that is not there.
    """
    if name not in where:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{package}.{where[name]}"), name)
    setattr(sys.modules[package], name, value)
    return value
