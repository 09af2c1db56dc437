"""Fonts for names with letters that matplotlib's own font lacks: Chinese, Japanese, Korean, ..."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["FAMILIES", "make_legible"]

# Fonts that come with systems or are often installed, with letters of many languages.
FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Hiragino Sans",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "SimHei",
    "SimSun",
    "Yu Gothic",
    "IPAexGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "NanumGothic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Nirmala UI",
    "Leelawadee UI",
    "Segoe UI",
    "Arial Unicode MS",
    "Noto Sans",
)


def make_legible(texts: Iterable[Any]) -> str:
    """Give texts with letters that their font lacks a second installed font that has them.

    returns  the letters that no font has, which matplotlib draws as boxes
    """
    boxes: set[str] = set()
    for text in texts:
        letters = {letter for letter in text.get_text() if not letter.isascii()}
        missing = letters and letters - _drawn_by(text.get_fontproperties(), letters)
        if missing:
            second = _family_with(missing)
            if second is None:
                boxes |= missing
            else:
                text.set_fontfamily([*text.get_fontfamily(), second])
    return "".join(sorted(boxes))


def _drawn_by(properties: Any, letters: Iterable[str]) -> set[str]:
    """The letters that a font has."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont(properties))
    return {letter for letter in letters if font.get_char_index(ord(letter))}


def _family_with(letters: set[str]) -> str | None:
    """The first of our font families that is installed and has all the letters."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    for family in FAMILIES:
        if family in installed and letters <= _drawn_by(family, letters):
            return family
    return None
