"""The package `onnx`, which reads and writes the protobuf messages of the format."""

from __future__ import annotations

from typing import Any

__all__ = ["the_package"]


def the_package() -> Any:
    """The module `onnx`; ImportError, with advice, without it."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError("ONNX files need the package onnx: pip install 'cnnx[onnx]'") from error
    return onnx
