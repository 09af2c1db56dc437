"""Docstrings as Markdown: an extension of Griffe, named in .mkdocs.yml.

A docstring of cnnx is read in a terminal: its formulas, shapes and arguments are aligned in
columns. The site keeps them so, in blocks of their own, between paragraphs that wrap. Examples are
shown as programs.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

COLUMNS = re.compile(r"^ |\S {2,}\S", re.M)  # two columns, or a line that continues one
FORMULA = re.compile(r"[\w*']+(\[[^\]]*\])? \+?= ")


def markdown(docstring: str) -> str:
    """The docstring with columns, formulas and examples in blocks."""
    parts = [part for part in re.split(r"\n\s*\n", docstring.strip("\n")) if part.strip()]
    blocks: list[tuple[str, str]] = []  # (language or "" for prose, text)
    example = False
    for part in parts:
        indented = part.startswith("    ")
        if part.lstrip().startswith(">>>"):
            language = "pycon"
        elif example and indented:
            language = "python"
        elif COLUMNS.search(part) or FORMULA.match(part):
            language = "text"
        else:
            language = ""
            example = part.rstrip().endswith("::")
        if blocks and language and blocks[-1][0] == language:
            blocks[-1] = (language, f"{blocks[-1][1]}\n\n{part}")
        else:
            blocks.append((language, part))
    return "\n\n".join(_block(*block) for block in blocks) + "\n"


def _block(language: str, text: str) -> str:
    if language:
        return f"```{language}\n{_dedented(text)}\n```"
    prose = re.sub(r"::$", ":", text.rstrip())
    prose = re.sub(r"``([^`]+)``", r"`\1`", prose)
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*_<\[\]])", r"\\\1", piece)
        for piece in re.split(r"(`[^`]+`)", prose)
    )


def _dedented(text: str) -> str:
    lines = text.splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[margin:] for line in lines)


class Markdown(griffe.Extension):
    """Rewrites each docstring once, when its object has been read."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)
