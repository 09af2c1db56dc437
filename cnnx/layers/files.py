"""A model in one file: arrays, and the architecture as JSON. Nothing is unpickled."""

# Design:
# The architecture is a table of layers, children before parents; each row is a class name, the
# constructor's arguments and the mode. A layer among the arguments is written as its row number,
# so a layer that is used several times is one row and stays shared. Classes come from the fixed
# table of cnnx's own or from the caller's `custom`; a file names no module and cannot run code.
# Layers are built inside `init.blank`: weights start as zeros, no random number is drawn, and a
# file that asks for larger arrays than it holds is rejected before memory is allocated.
#
# Pickles of models do not have this format: they hold the objects, as those of PyTorch do. Only
# then does one pickle of a model with its optimiser, its averages, or a part of it (an autoencoder
# and its encoder) give objects that still belong together, with all attributes that a user added.
# Bytes of a file instead would be read as a layer of their own for each of these, and training
# would go on with detached copies. It would not be safer either: whoever writes a pickle chooses
# what it calls. And arrays in a pickle can be mapped or sent without a copy (protocol 5).

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import init, io, layers
from cnnx.layers import state
from cnnx.layers.base import BUILTIN, Layer
from cnnx.layers.parameter import Parameter

if TYPE_CHECKING:
    from cnnx.typing import File

__all__ = ["build", "describe", "load", "save"]

_FORMAT, _VERSION = "cnnx-model", 1
_MOST_PLACES = 100_000  # paths to layers in a model: nested shared layers double them at each level
# What building raises for a damaged table of layers.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


def save(layer: Layer, path: File) -> None:
    """Write a model to exactly `path`, atomically.

    path  or a binary file object, such as ``io.BytesIO()``: written from its current position
    The saved modes are those of the layers, or of the surrounding `run_mode`.

    TypeError, before anything is written, for a layer that cannot be described: `Activation` holds
    Python functions, and a user-defined class may need a `config()`.
    """
    io.save_npz(path, layer.state_dict(), describe(layer))


def load(path: File, custom: Mapping[str, type[Layer]] | None = None) -> Layer:
    """Load a model that ``model.save(path)`` wrote: weights and their dtype, statistics, shared
    layers, frozen parameters, and train or eval mode.

    path    or a binary file object, read from its current position
    custom  the user-defined layer classes in the model, by name: ``{"MyLayer": MyLayer}``

    ValueError with the name of the file for a damaged file, one of another format, or a missing
    custom class.

    Example: ``model = cnnx.load("digits.npz").eval()``
    """
    arrays, meta = io.load_npz(path)
    return build(arrays, meta, custom, io.name_of(path))


def describe(layer: Layer) -> dict[str, Any]:
    """All of a model but its arrays, as JSON."""
    rows: list[dict[str, Any]] = []
    _describe(layer, rows, {})
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "layers": rows,
        "frozen": [name for name, p in layer.named_parameters() if not p.requires_grad],
        "tied": _tied(layer),
        "preprocessing": None if layer.preprocessing is None else layer.preprocessing.to_json(),
    }


def build(
    arrays: dict[str, np.ndarray],
    meta: Any,
    custom: Mapping[str, type[Layer]] | None,
    name: str,
) -> Layer:
    """The model that `describe` described; ValueError with the name of its file if it cannot be."""
    if not isinstance(meta, dict) or meta.get("format") != _FORMAT:
        raise ValueError(f"{name} is not a model of cnnx: it is no file of `model.save`")
    if meta.get("version") != _VERSION:
        raise ValueError(
            f"{name} has model format {meta.get('version')}, this cnnx reads {_VERSION}"
        )
    try:
        return _build(arrays, meta, custom or {})
    except _DAMAGE as error:
        reason = f"damaged ({error!r})" if isinstance(error, (KeyError, IndexError)) else error
        raise ValueError(f"{name} cannot be loaded: {reason}") from error


def _describe(layer: Layer, rows: list[dict[str, Any]], index: dict[int, int]) -> int:
    """The row number of a layer; adds its row after those of its children."""
    if id(layer) not in index:
        name = type(layer).__name__
        config = {
            key: _encode(f"{name}({key}=...)", value, rows, index)
            for key, value in layer.config().items()
        }
        own = BUILTIN.get(name) is type(layer)
        rows.append(
            {"class": name, "custom": not own, "config": config, "training": layer.training}
        )
        index[id(layer)] = len(rows) - 1
    return index[id(layer)]


def _encode(what: str, value: Any, rows: list[dict[str, Any]], index: dict[int, int]) -> Any:
    if isinstance(value, Layer):
        return {"layer": _describe(value, rows, index)}
    if isinstance(value, (list, tuple)):
        return [_encode(what, item, rows, index) for item in value]
    if isinstance(value, dict):
        pairs = value.items()
        return {"dict": [[_encode(what, part, rows, index) for part in pair] for pair in pairs]}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"save: {what} is a {type(value).__name__}, which a file cannot describe: numbers, "
        "strings, None, layers, and tuples and dicts of these can be"
    )


def _decode(value: Any, built: list[Layer]) -> Any:
    if isinstance(value, dict):
        if "dict" in value:
            return {_decode(key, built): _decode(item, built) for key, item in value["dict"]}
        return built[value["layer"]]
    if isinstance(value, list):
        return tuple(_decode(item, built) for item in value)
    return value


def _build(
    arrays: dict[str, np.ndarray], meta: dict[str, Any], custom: Mapping[str, type[Layer]]
) -> Layer:
    built: list[Layer] = []
    places: dict[int, int] = {}  # by id of a layer: the paths in it, with its own
    with init.blank(max((array.size for array in arrays.values()), default=0)):
        for row in meta["layers"]:
            cls = _find_class(row["class"], custom if row["custom"] else BUILTIN)
            config = {key: _decode(value, built) for key, value in row["config"].items()}
            layer = cls.from_config(config)
            inside = sum(places.get(id(child), 1) for _, child in layer.children())
            if inside >= _MOST_PLACES:
                raise ValueError(f"it has {inside} layers, and {_MOST_PLACES} are read at most")
            places[id(layer)] = 1 + inside
            built.append(layer)
    # In reverse, children after parents: `train` of a parent sets the mode of its children too.
    for layer, row in zip(reversed(built), reversed(meta["layers"]), strict=True):
        layer.train(bool(row["training"]))
    model = built[-1]
    _tie(model, meta["tied"])
    for entry, value in state.match(model, arrays, strict=True)[0]:
        setattr(entry.owner, entry.attribute, value)
    parameters = dict(model.named_parameters()) if meta["frozen"] else {}
    for name in meta["frozen"]:
        parameters[name].requires_grad = False
    if meta.get("preprocessing") is not None:  # older files have none
        from cnnx.preprocessing import Preprocessing

        model.preprocessing = Preprocessing.from_json(meta["preprocessing"])
    return model


def _find_class(name: str, known: Mapping[str, type[Layer]]) -> type[Layer]:
    if name not in known and known is BUILTIN:
        _import_class(name)
    if name not in known:
        raise ValueError(
            f"it has a layer of class {name!r}, which is unknown: pass "
            f"custom={{{name!r}: ...}} with the class"
        )
    return known[name]


def _import_class(name: str) -> None:
    """Import what adds a class of this name to `BUILTIN`, if there is one."""
    if name == "Graph":
        import cnnx.graph.graph
    elif name in layers.__all__:
        getattr(layers, name)
    else:
        import cnnx.onnx.layers  # noqa: F401  # those of a graph from an ONNX file


def _owners(layer: Layer) -> dict[str, tuple[Layer, str, Parameter]]:
    return {
        path + name: (place, name, parameter)
        for path, place in layer.places()
        for name, parameter in place.own_parameters()
    }


def _tied(layer: Layer) -> dict[str, str]:
    """{name: first name} of parameters shared by several layers."""
    first: dict[int, str] = {}
    tied = {}
    for key, (_, _, parameter) in _owners(layer).items():
        if first.setdefault(id(parameter), key) != key:
            tied[key] = first[id(parameter)]
    return tied


def _tie(layer: Layer, tied: dict[str, str]) -> None:
    owners = _owners(layer) if tied else {}
    for key, original in tied.items():
        (place, name, parameter), shared = owners[key], owners[original][2]
        if parameter is not shared:
            _put(vars(place), name, shared)


def _put(holder: Any, name: str, parameter: Parameter) -> None:
    """Replace the parameter that `own_parameters` lists by this name."""
    keys = holder if isinstance(holder, dict) else range(len(holder))
    key = next(key for key in keys if f"{name}.".startswith(f"{key}."))
    rest = name[len(str(key)) + 1 :]
    if not rest:
        holder[key] = parameter
        return
    inner = holder[key]
    if isinstance(inner, tuple):
        holder[key] = inner = list(inner)
    _put(inner, rest, parameter)
