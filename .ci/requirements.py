"""Prints what extras of the package require: ``python .ci/requirements.py dev docs``."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import tomllib

PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]


def required(extra: str) -> Iterator[str]:
    """The requirements of an extra; those of the extras that it names, too."""
    for line in PROJECT["optional-dependencies"][extra]:
        if inner := re.fullmatch(r"cnnx\[(.*)\]", line):
            for name in inner[1].split(","):
                yield from required(name)
        else:
            yield line


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(*required(name), sep="\n")
