"""Standard output and error, which may be a terminal, a pipe, a notebook's, or missing."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["is_terminal", "say"]


def is_terminal(stream: Any) -> bool:
    """Whether a stream shows what is written at once, and can be written over.

    False for None (a program without a console), a closed stream, one without `isatty`.
    """
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def say(text: str) -> None:
    """A line on standard output, at once; nothing where there is none."""
    print(text)
    flush = getattr(sys.stdout, "flush", None)
    if flush is not None:
        flush()
