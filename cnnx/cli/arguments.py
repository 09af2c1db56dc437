"""Arguments shared by the commands: numbers in a range, backend, threads and image options."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, NoReturn

from cnnx.cli import ranks

__all__ = [
    "Intermixed",
    "Parser",
    "add_command",
    "add_images",
    "add_machine",
    "fraction",
    "integer",
    "positive",
    "size",
]


class Parser(argparse.ArgumentParser):
    """Parser whose errors are printed by one of the ranks that mpirun started."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit."""
        ranks.after_rank_0()
        super().error(message)


class Intermixed(Parser):
    """Parser of a command: options may appear between files, ``predict run --top 3 a.png``.

    argparse alone assigns nothing to a possibly empty list of files if an option comes first.
    """

    _within = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse options and positional arguments in any order."""
        if self._within:  # parse_known_intermixed_args calls this method twice
            return super().parse_known_args(args, namespace)
        self._within = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], what: str, example: str
) -> argparse.ArgumentParser:
    """Add a command's parser, whose help ends with the examples."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # SUPPRESS: the flag may also precede the command; its absence here must not reset it.
    parser.add_argument(
        "--traceback",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the full Python traceback of an error",
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_machine(parser: argparse.ArgumentParser) -> None:
    """--backend and --threads; `main` applies them."""
    parser.add_argument(
        "--backend",
        choices=("compiled", "reference"),
        help="compute backend (default: CNNX_BACKEND, or compiled if it was built)",
    )
    parser.add_argument(
        "--threads",
        type=integer(1, 1024),
        metavar="N",
        help="threads of the compiled backend (default: all cores); do not affect results",
    )


def add_images(parser: argparse.ArgumentParser, default: str, invert: str) -> None:
    """--layout, --background and --invert: how to interpret the user's images."""
    parser.add_argument(
        "--layout",
        choices=("channels_first", "channels_last"),
        help="layout of image arrays: (n, c, h, w) or (n, h, w, c)" + default,
    )
    parser.add_argument(
        "--background",
        type=_background,
        metavar="COLOUR",
        help=f"colour behind transparent pixels: black, white, '#808080', 0.5{default}",
    )
    parser.add_argument("--invert", action="store_true", help=invert)


def size(text: str) -> tuple[int, int]:
    """argparse type: (height, width) from 64, for both, or from 48x64."""
    parts = text.lower().split("x")
    if not 1 <= len(parts) <= 2 or not all(p.isdecimal() and 0 < int(p) < 1 << 16 for p in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size: expected a number of pixels, or 48x64 (height x width)"
        )
    return int(parts[0]), int(parts[-1])


def _background(text: str) -> str | float:
    try:
        level = float(text)
    except ValueError:
        return text
    if not 0 <= level <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 (black) to 1 (white)")
    return level


def integer(least: int, most: int | None = None) -> Callable[[str], int]:
    """argparse type: an integer in a range."""
    expected = f"from {least} to {most}" if most is not None else f"of {least} or more"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer {expected}")
        return value

    return parse


def positive(text: str) -> float:
    """argparse type: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def fraction(text: str) -> float:
    """argparse type: a number between 0 and 1, without these."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value
