"""``python -m cnnx ...`` is the same as the command ``cnnx ...``."""

from __future__ import annotations

from cnnx.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
