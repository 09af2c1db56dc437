"""What is printed reaches any console: names that it can not show are written with escapes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["any_console", "listed", "mute_stdout", "printable", "warn"]


@contextmanager
def any_console() -> Iterator[None]:
    """Within: a character that stdout or stderr has no code for becomes ``\\uXXXX``, no error.

    A console of Windows may know 256 characters, and file names need not be text at all.
    """
    changed = []
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
            changed.append(stream)
    try:
        yield
    finally:
        for stream in changed:
            with suppress(ValueError, OSError):  # closed, or what it holds can not be written
                stream.reconfigure(errors="strict")


def printable(name: str) -> str:
    """A name of the user's on one line: control characters, which a file name may hold, escaped."""
    if name.isprintable():
        return name
    return "".join(
        c if c.isprintable() or "\udc80" <= c <= "\udcff" else c.encode("unicode_escape").decode()
        for c in name
    )


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    shown = [printable(name) for name in names]
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def warn(command: str, what: str) -> None:
    """A line on stderr for what is no error but should be known."""
    print(f"cnnx {command}: warning: {what}", file=sys.stderr)


def mute_stdout() -> None:
    """Send what is still to come nowhere: the reader has gone, or its disk is full."""
    with suppress(OSError, ValueError):  # stdout is no file of the system's (a test, a notebook)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
