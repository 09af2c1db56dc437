"""The loggers of cnnx: ``logging.getLogger("cnnx")`` and, below it, one for each topic."""

# Design:
# A library writes records and leaves to the program what becomes of them: no level and no handler
# is set, except for a NullHandler, without which Python would print to stderr on its own.
# NumPy does not import logging, so it is imported at the first record, not with cnnx.

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger

__all__ = ["logger"]


@cache
def logger(topic: str) -> Logger:
    """The logger ``cnnx.<topic>``.

    Example: ``logger("training").info("epoch %d of %d", epoch, epochs)``
    """
    import logging

    root = logging.getLogger("cnnx")
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    return root.getChild(topic)
