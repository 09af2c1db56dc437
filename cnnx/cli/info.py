"""``cnnx info``: what this installation is, computes with, and finds."""

from __future__ import annotations

import argparse
import os
from typing import Any

from cnnx import config
from cnnx.cli.arguments import add_command, add_machine
from cnnx.data import cache_directory, datasets
from cnnx.data.download import CIFAR10, FASHION_MNIST, MNIST, Source

__all__ = ["add", "run"]

_EXAMPLE = """\
  cnnx info
  CNNX_DATA=~/datasets CNNX_ISA=baseline cnnx info"""


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    what = "show version, backend, kernels, threads and data sets"
    add_machine(add_command(commands, "info", run, what, _EXAMPLE))


def run(args: argparse.Namespace) -> int:
    """Print; returns the exit code."""
    config.show_config()
    print(f"{'CNNX_DATA':20} {os.environ.get('CNNX_DATA') or 'not set'}")
    print(f"{'cache directory':20} {cache_directory()}")
    print(f"{'digits':20} bundled")
    for source in (MNIST, FASHION_MNIST, CIFAR10):
        print(f"{source.title:20} {_where(source)}")
    return 0


def _where(source: Source) -> str:
    """The directory a data set would be read from, as the loaders look for it."""
    named = os.environ.get("CNNX_DATA")
    if named:
        try:
            found = datasets.find_files(source, os.path.expanduser(named), "CNNX_DATA")
        except OSError as error:
            return str(error)
        if found is not None:
            return os.path.dirname(found[0][0])
    folder = os.path.join(cache_directory(), source.folders[0])
    _, lacking = datasets.match_files(source, folder)
    return folder if not lacking else "not here: downloaded when it is asked for"
