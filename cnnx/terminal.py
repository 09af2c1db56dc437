"""Standard output and error, which may be a terminal, a pipe, a notebook's, or missing."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

__all__ = ["flush", "is_terminal", "note", "say"]


def is_terminal(stream: Any) -> bool:
    """Whether a stream shows output immediately, and allows overwriting a line.

    False for None (a program without a console), a closed stream, one without `isatty`.
    """
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def say(text: str) -> None:
    """Print a line on standard output immediately; does nothing if there is none."""
    print(text)
    flush()


def flush() -> None:
    """Flush standard output; a full disk behind it raises OSError here."""
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def note(text: str) -> None:
    """Print a line on standard error; does nothing if it is missing or closed."""
    if sys.stderr is not None:
        with suppress(ValueError):
            print(text, file=sys.stderr)
