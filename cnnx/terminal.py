"""Standard output and error, which may be a terminal, a pipe, a notebook's, or missing."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

__all__ = ["flush", "is_terminal", "note", "say"]


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
    flush()


def flush() -> None:
    """Let what was printed reach its reader; a full disk behind it is an OSError here."""
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def note(text: str) -> None:
    """A line on standard error; nothing where there is none, or where it is closed."""
    if sys.stderr is not None:
        with suppress(ValueError):
            print(text, file=sys.stderr)
