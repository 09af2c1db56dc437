"""Suggestions for misspelt names."""

# Design:
# `from cnnx import Conv2d` looks up an attribute of the module and, if that raises AttributeError,
# raises an ImportError of its own, which drops our message. For such a statement, we therefore
# raise ImportError directly. It is recognised by the bytecode instruction that the caller's
# frame executes; `hasattr`, and `getattr` with a default, still get the AttributeError that they
# expect.

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import FrameType

__all__ = ["unknown"]


def unknown(
    module: str,
    name: str,
    names: Iterable[str],
    otherwise: str = "",
    others: Mapping[str, str] | None = None,
) -> AttributeError | ImportError:
    """The error for a module's `__getattr__` to raise: AttributeError, or ImportError for ``from``.

    names      of the module                  otherwise  advice if none of them is similar
    others     names defined elsewhere, lower-cased, with the advice for each
    """
    near = [] if name.startswith("_") else _near(name, names)
    near += [(others or {}).get(name.lower(), "")]
    meant = ", or ".join(filter(None, near))
    advice = f"did you mean {meant}" if meant else ("" if name.startswith("_") else otherwise)
    text = f"module {module!r} has no {name!r}" + (f": {advice}" if advice else "")
    if _from_import(sys._getframe(2)):  # the caller of the `__getattr__` that called this
        return ImportError(text, name=module)
    return AttributeError(text, name=name)


def _near(name: str, names: Iterable[str]) -> list[str]:
    """The one name that is spelt similarly, ignoring case."""
    import difflib

    spelled = {known.lower(): known for known in names}
    return [spelled[key] for key in difflib.get_close_matches(name.lower(), spelled, 1, 0.8)]


def _from_import(asker: FrameType) -> bool:
    import opcode

    return opcode.opname[asker.f_code.co_code[asker.f_lasti]] == "IMPORT_FROM"
