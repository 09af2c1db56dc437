"""The command line: ``cnnx train | evaluate | predict | bench | info``.

>>> from cnnx.cli import main
>>> main(["train", "--epochs", "3"])          # what `cnnx train --epochs 3` does; 0 if it went well
"""

# Design:
# A command is a file with `add(commands)`, which describes its arguments, and `run(args)`, which
# does the work and returns the exit code. Errors that a user can cause are ValueError, TypeError,
# OSError, ImportError, ArithmeticError (a loss that is not finite) and MemoryError all over cnnx,
# so they are turned into one line here, in one place; anything else is a bug and shows where.
# `args.kept` says what a command wants said after an error or Ctrl-C: which files are safe. It is
# asked then, so that what it says is true however little or much has been done.

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cnnx import config, terminal
from cnnx._version import __version__
from cnnx.cli import bench, evaluate, info, predict, train
from cnnx.cli.arguments import Intermixed
from cnnx.cli.console import any_console, mute_stdout, printable, warn

__all__ = ["main"]

EXPECTED = (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError)
USAGE, FAILED, STOPPED = 2, 1, 130  # exit codes; 130 is what shells give for Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    argv  the words after ``cnnx``; None: those of the process

    returns 0, or 1 after an error (one line on stderr), 130 after Ctrl-C. Wrong arguments and
    ``--help`` leave by SystemExit (2 and 0), as argparse does. Backend and threads that the command
    chose are as before afterwards.

    Example: ``main(["evaluate", "runs/digits-1"])``
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if args.run is None:
        parser.print_help(sys.stderr)
        return USAGE
    threads = config.get_num_threads()
    try:
        with any_console(), _warnings_as_lines(args.command):
            return _guarded(args)
    finally:
        config.set_num_threads(threads)


def _guarded(args: argparse.Namespace) -> int:
    """Run the command; what the user can cause becomes a line on stderr and an exit code."""
    try:
        done = _run(args)
        terminal.flush()  # a full disk behind `>` shows here, and not when Python exits
        return done
    except BrokenPipeError:
        # The reader of our output has gone (`| head`). Python would complain again when it exits.
        mute_stdout()
        return FAILED
    except KeyboardInterrupt:
        kept = args.kept() or "nothing was written"
        print(f"\ncnnx {args.command}: stopped; {printable(kept)}", file=sys.stderr)
        return STOPPED
    except EXPECTED as error:
        if args.traceback:
            raise
        kept = f"; {args.kept()}" if args.kept() else ""
        print(f"cnnx {args.command}: {printable(_line(error) + kept)}", file=sys.stderr)
        if _is_of_stdout(error):
            mute_stdout()
        return FAILED


@contextmanager
def _warnings_as_lines(command: str) -> Iterator[None]:
    """Within: what cnnx warns of is a line on stderr, once, without its place in the program."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        warn(command, printable(" ".join(str(message).split())))

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cnnx",
        description="Convolutional networks on a CPU: train, use and measure them.",
        epilog="`cnnx COMMAND --help` shows a command's options and an example. Start with: "
        "cnnx train",
    )
    parser.add_argument("--version", action="version", version=f"cnnx {__version__}")
    parser.add_argument(
        "--traceback", action="store_true", help="show where in the program an error came up"
    )
    parser.set_defaults(run=None, command="", kept=str)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", parser_class=Intermixed
    )
    for command in (train, evaluate, predict, bench, info):
        command.add(commands)
    return parser


def _run(args: argparse.Namespace) -> int:
    if getattr(args, "threads", None) is not None:
        config.set_num_threads(args.threads)
    if getattr(args, "backend", None) is None:
        return int(args.run(args))
    with config.use_backend(args.backend):
        return int(args.run(args))


def _line(error: BaseException) -> str:
    """An error in one line, without Python's decoration."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fspath(error.filename)}: {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        return f"standard output: {error.strerror}" if _is_of_stdout(error) else error.strerror
    if isinstance(error, MemoryError):
        return f"out of memory ({error})" if str(error) else "out of memory"
    return " ".join(str(error).split()) or type(error).__name__


def _is_of_stdout(error: BaseException) -> bool:
    """Whether a full disk is that behind ``>``: all files that cnnx writes are named."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error, OSError) and error.filename is None and error.errno in full
