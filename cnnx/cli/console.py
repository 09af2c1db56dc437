"""Output for any console: characters that it cannot encode are written as escapes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["any_console", "listed", "mute_stdout", "printable", "warn"]


@contextmanager
def any_console() -> Iterator[None]:
    """Context in which characters that stdout or stderr cannot encode are written as ``\\uXXXX``.

    A Windows console may have 256 characters only, and file names need not be valid text at all.
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
            with suppress(ValueError, OSError):  # closed, or its buffer cannot be flushed
                stream.reconfigure(errors="strict")


def printable(name: str) -> str:
    """A user's name on one line, with control characters (file names may have some) escaped."""
    if name.isprintable():
        return name
    return "".join(
        c if c.isprintable() or "\udc80" <= c <= "\udcff" else c.encode("unicode_escape").decode()
        for c in name
    )


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first few of many names, and the number of the rest."""
    shown = [printable(name) for name in names]
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def warn(command: str, what: str) -> None:
    """Print a warning on stderr."""
    print(f"cnnx {command}: warning: {what}", file=sys.stderr)


def mute_stdout() -> None:
    """Discard all further output: its reader has exited, or its disk is full."""
    with suppress(OSError, ValueError):  # stdout has no file descriptor (a test, a notebook)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
