"""The command line: ``cnnx train | runs | evaluate | predict | convert | profile | bench | info``.

>>> from cnnx.cli import main
>>> main(["train", "--epochs", "3"])          # same as `cnnx train --epochs 3`; 0 on success
"""

# Design:
# A command is a module with `add(commands)`, which describes its arguments, and `run(args)`, which
# does the work and returns the exit code. This is the one place that turns the errors that a user
# can cause (expected.py) into one-line messages. Any other exception is a bug and shows its
# traceback. `args.kept()` returns which files are safe after an error or Ctrl-C. It is called at
# that moment, so its answer reflects the actual progress.

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
from cnnx.cli import bench, convert, evaluate, info, listing, predict, profile, train
from cnnx.cli.arguments import Intermixed, Parser
from cnnx.cli.console import any_console, mute_stdout, printable, warn
from cnnx.cli.expected import EXPECTED

__all__ = ["main"]

USAGE, FAILED, STOPPED = 2, 1, 130  # exit codes; shells use 130 for Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    argv  the words after ``cnnx``; None: those of this process

    returns 0, or 1 after an error (one line on stderr), or 130 after Ctrl-C. Wrong arguments and
    ``--help`` raise SystemExit (2 and 0), as argparse does. The backend and the number of threads
    are restored afterwards.

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
    """Run the command; errors that a user can cause become one line on stderr and an exit code."""
    try:
        done = _run(args)
        terminal.flush()  # so that a full disk behind `>` is reported here, not when Python exits
        return done
    except BrokenPipeError:
        # The reader of our output has exited (`| head`). Python would complain again when it exits.
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
    """Context in which each warning of cnnx is printed once on stderr, without its source line."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        warn(command, printable(" ".join(str(message).split())))

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="cnnx",
        description="Train, run and benchmark convolutional networks on a CPU.",
        epilog="`cnnx COMMAND --help` shows a command's options and examples. Start with: "
        "cnnx train",
    )
    parser.add_argument("--version", action="version", version=f"cnnx {__version__}")
    parser.add_argument(
        "--traceback", action="store_true", help="show the full Python traceback of an error"
    )
    parser.set_defaults(run=None, command="", kept=str)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", parser_class=Intermixed
    )
    for command in (train, listing, evaluate, predict, convert, profile, bench, info):
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
    """An error in one line, without Python's formatting."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fspath(error.filename)}: {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        return f"standard output: {error.strerror}" if _is_of_stdout(error) else error.strerror
    if isinstance(error, MemoryError):
        return f"out of memory ({error})" if str(error) else "out of memory"
    return " ".join(str(error).split()) or type(error).__name__


def _is_of_stdout(error: BaseException) -> bool:
    """Whether the disk behind ``>`` is full: cnnx names all files that it writes itself."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error, OSError) and error.filename is None and error.errno in full
