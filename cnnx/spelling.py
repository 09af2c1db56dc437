"""What was meant by a name that is not there."""

# Design:
# `from cnnx import Conv2d` asks the module for an attribute and, when that raises AttributeError,
# writes an ImportError of its own, in which nothing is left of what we said. So where such a
# statement is asking, the error is an ImportError from the start. The asker is the caller's frame,
# and the instruction at which it stands tells; `hasattr`, and `getattr` with a default, get what
# they expect.

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

    names      that the module has            otherwise  what to say where none of them is near
    others     names that stand elsewhere, lower-cased, and what to write for them
    """
    near = [] if name.startswith("_") else _near(name, names)
    near += [(others or {}).get(name.lower(), "")]
    meant = ", or ".join(filter(None, near))
    advice = f"did you mean {meant}" if meant else ("" if name.startswith("_") else otherwise)
    text = f"module {module!r} has no {name!r}" + (f": {advice}" if advice else "")
    if _from_import(sys._getframe(2)):  # of who asked the `__getattr__` that asked us
        return ImportError(text, name=module)
    return AttributeError(text, name=name)


def _near(name: str, names: Iterable[str]) -> list[str]:
    """The one name that is written nearly so, whatever the case of its letters."""
    import difflib

    spelled = {known.lower(): known for known in names}
    return [spelled[key] for key in difflib.get_close_matches(name.lower(), spelled, 1, 0.8)]


def _from_import(asker: FrameType) -> bool:
    import opcode

    return opcode.opname[asker.f_code.co_code[asker.f_lasti]] == "IMPORT_FROM"
