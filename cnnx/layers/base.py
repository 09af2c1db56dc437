"""`Layer`: the base class of all layers, and its protocol."""

# Design:
# A layer has parameters and settings as plain attributes. Parameters, sub-layers and buffers are
# found by scanning the attributes (inside.py), so nothing is registered and the objects pickle.
# `forward` saves what `backward` needs with `_save`, and `backward` gets it from `_saved`. In a
# container these values are moved to the trace of the run and back (graph/steps.py), so one layer
# may be used by several nodes.
# `@builtin` marks cnnx's own layer classes. It guarantees two things that are not known of a user's
# class: it saves values only with `_save`, and its only trainable state is Parameters. The marked
# classes are also the only ones that `load` knows without `custom`.

from __future__ import annotations

import inspect
from collections.abc import Iterator
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from cnnx.layers.assignment import check_assignment
from cnnx.layers.carried import Carried
from cnnx.layers.dtype import FLOATS, as_float
from cnnx.layers.inside import held
from cnnx.layers.kept import Watched, keep
from cnnx.layers.methods import Methods
from cnnx.layers.parameter import Parameter
from cnnx.layers.prepared import Prepared
from cnnx.layers.run import Mode, grad_enabled, no_grad, run_mode

if TYPE_CHECKING:
    from typing_extensions import Self

    from cnnx.layers.state import LoadResult
    from cnnx.layers.summary import Summary
    from cnnx.typing import File

__all__ = ["BUILTIN", "OF_A_RUN", "Layer", "builtin"]

BUILTIN: dict[str, type[Layer]] = {}
OF_A_RUN = ("_kept", "_plan")  # attributes that are neither copied nor pickled
AnyLayer = TypeVar("AnyLayer", bound="type[Layer]")


def builtin(cls: AnyLayer) -> AnyLayer:
    """Mark one of cnnx's own layer classes (see the design block above)."""
    BUILTIN[cls.__name__] = cls
    return cls


class Layer(Methods, Prepared):
    """Base of all layers. A subclass defines `forward(x)` and `backward(dy)`.

    ``y = layer(x)`` is ``layer.forward(x)``; ``dx = layer.backward(dy)`` is the backward of the
    last forward, and adds to the gradients of the parameters. `backward` may take ``need_dx=True``,
    and then return None when it is False; the argument is optional.

    A subclass may set any attribute. Attributes that are a `Parameter` or a `Layer` are included in
    `parameters`, `state_dict`, `train`, `save` and so on, and so are those in lists, tuples and
    dicts at any depth (where PyTorch needs a ModuleList): ``self.blocks = [[conv, norm]]`` has the
    key ``"blocks.0.1.weight"``, ``self.heads = {"a": linear}`` the key ``"heads.a.weight"``.

    ``self._save(x)`` in forward saves values for ``(x,) = self._saved()`` in backward. Arrays are
    saved by reference: input, output and weights of a layer must not change before backward. A
    batch that was overwritten is in most cases a RuntimeError (kept.py explains how it is
    detected). A layer that saves values only with `_save` does not modify itself inside `no_grad`,
    so any number of threads may predict with it. Values that a layer stores in other attributes are
    not checked, and shared by all threads.

    training         True until `eval`; dropout and batch normalisation depend on it. `predict` and
                     `evaluate` run in eval mode, `fit` in train mode, without changing the layers:
                     inside them the attribute reads False, or True (see `run_mode`)
    preprocessing    how samples are converted into model inputs, a `Preprocessing` or None
    buffer_names     attributes with arrays that are saved but not trained, such as running means
    parameter_names  attributes that are a Parameter or None, and may be None at first. Assigning
                     anything else is a TypeError, as where an attribute is a Parameter or Layer

    Example::

        class Double(Layer):
            def forward(self, x):
                return 2 * x

            def backward(self, dy):
                return 2 * dy
    """

    preprocessing = Carried()
    training = Mode()
    buffer_names: ClassVar[tuple[str, ...]] = ()
    parameter_names: ClassVar[tuple[str, ...]] = ()
    _kept: tuple[Any, ...] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if isinstance(vars(cls).get("training"), bool):  # a default of the class
            cls.training = Mode(vars(cls)["training"])

    # -- forward and backward ------------------------------------------------------------------

    def forward(self, x: Any) -> Any:
        """The output for a batch. Every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(x)")

    def backward(self, dy: Any) -> Any:
        """The gradient with respect to the last forward's input, from that of its output."""
        raise NotImplementedError(f"{type(self).__name__} has no backward(dy)")

    def __call__(self, *xs: Any, **named: Any) -> Any:
        if "x" in named:  # the first input, by any name in forward
            xs = named.pop("x"), *xs
        for x in xs:
            # A Symbol handles the call (graph/symbol.py). hasattr takes a microsecond.
            if type(x) is not np.ndarray and hasattr(type(x), "__cnnx_call__"):
                return x.__cnnx_call__(self, xs, **named)
        return self.forward(*xs, **named)

    def _save(self, *values: Any) -> None:
        """Save values for backward, replacing earlier ones; does nothing inside `no_grad`."""
        if grad_enabled():
            self._keep(keep(values))

    def _keep(self, kept: tuple[Any, ...] | None) -> None:
        # Bypasses __setattr__, whose checks are for users: this runs for every layer of every step.
        self.__dict__["_kept"] = kept

    def _saved(self) -> tuple[Any, ...]:
        """What forward saved. RuntimeError if there was no forward, or if one of these arrays was
        modified since (kept.py).
        """
        if self._kept is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward: no forward has saved values for it: call the "
                "layer on data first, outside of no_grad, once for each backward (inside a model: "
                "call the model's backward)"
            )
        if type(self._kept) is Watched:
            self._kept.check(type(self).__name__)
        return self._kept

    def _float(self, x: Any, dtype: Any = None) -> np.ndarray:
        """x as an array that ops accept, cast to `dtype` if given (see `as_float`)."""
        if type(x) is np.ndarray and (x.dtype is dtype or (dtype is None and x.dtype in FLOATS)):
            return x  # the usual case
        return as_float(type(self).__name__, x, dtype)

    def __setattr__(self, name: str, value: Any) -> None:
        declared = name in self.parameter_names or name in self.buffer_names
        guarded = declared or isinstance(vars(self).get(name), (Parameter, Layer))
        if guarded and value is not None and not isinstance(value, (Parameter, Layer)):
            check_assignment(self, name, value)
        if isinstance(value, Parameter) and not value.name:
            value.name = name
        object.__setattr__(self, name, value)

    # -- sub-layers and parameters -------------------------------------------------------------

    def children(self) -> Iterator[tuple[str, Layer]]:
        """(name, layer) of the direct sub-layers, in order; a layer held twice is listed twice."""
        return iter(held(self._attributes(), Layer))

    def own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, parameter) of this layer itself, without those of its sub-layers."""
        for name, parameter in held(self._attributes(), Parameter):
            if not parameter.name:  # it is in a list or dict: __setattr__ names the others
                parameter.name = name
            yield name, parameter

    def _attributes(self) -> dict[str, Any]:
        """A copy of the attributes, since another thread may add some; without those of a run."""
        attributes = vars(self).copy()
        for name in OF_A_RUN:
            attributes.pop(name, None)
        return attributes

    def modules(self) -> Iterator[Layer]:
        """This layer and all sub-layers at any depth, each once."""
        seen: set[int] = set()
        stack: list[Layer] = [self]
        while stack:
            layer = stack.pop()
            if id(layer) not in seen:
                seen.add(id(layer))
                yield layer
                stack.extend(reversed([child for _, child in layer.children()]))

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """("0.weight", parameter) of this layer and all sub-layers, each parameter once."""
        seen: set[int] = set()
        for path, layer in self.places(prefix):
            for name, parameter in layer.own_parameters():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield path + name, parameter

    def parameters(self) -> list[Parameter]:
        """All parameters of this layer and its sub-layers, each once, for an optimiser."""
        return [parameter for _, parameter in self.named_parameters()]

    def places(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """("", self), ("0.", first layer), ...: every path in the tree, shared layers repeated.

        A reference from a layer to one that contains it is not followed.
        """
        return self._places(prefix, ())

    def _places(self, prefix: str, around: tuple[int, ...]) -> Iterator[tuple[str, Layer]]:
        yield prefix, self
        around += (id(self),)
        for name, child in self.children():
            if id(child) not in around:
                yield from child._places(f"{prefix}{name}.", around)

    # -- modes ---------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Switch this layer and all sub-layers to train mode. Returns the layer."""
        for layer in self.modules():
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Switch to eval mode: no dropout, and batch norm uses its running statistics."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Clear all gradients."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def freeze(self) -> Self:
        """Exclude all parameters from training: no gradients, no updates. Returns the layer.

        Batch norm still updates its running statistics in train mode, as in PyTorch.
        """
        for parameter in self.parameters():
            parameter.requires_grad = False
            parameter.zero_grad()
        return self

    def unfreeze(self) -> Self:
        """Make all parameters trainable again. Returns the layer."""
        for parameter in self.parameters():
            parameter.requires_grad = True
        return self

    def _learns(self) -> bool:
        """Whether a parameter of this layer itself, not of one inside it, is trainable."""
        own = (getattr(self, name) for name in self.parameter_names)
        return any(parameter is not None and parameter.requires_grad for parameter in own)

    # -- dtype, copies, files ------------------------------------------------------------------

    def astype(self, dtype: Any) -> Self:
        """Cast parameters and float buffers, in place, to float32 or float64. Returns the layer.

        Optimisers of these parameters remain valid: their state is cast at the next step.
        """
        dtype = np.dtype(dtype)
        if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise TypeError(f"astype: dtype is {dtype}, expected float32 or float64")
        for parameter in self.parameters():
            parameter.data = parameter.data.astype(dtype, copy=False)
        for layer in self.modules():
            for name in layer.buffer_names:
                buffer = getattr(layer, name)
                if buffer is not None and buffer.dtype.kind == "f":
                    setattr(layer, name, buffer.astype(dtype, copy=False))
        return self

    def copy(self) -> Self:
        """An independent copy: weights, buffers and modes, without gradients or saved values."""
        from copy import deepcopy

        return deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        return self._attributes()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name: ``"0.weight"``, ``"1.running_mean"``.

        Names, order and shapes are PyTorch's, so weights can be exchanged in both directions. Its
        `load_state_dict` needs tensors, which can share the memory of these copies:

            torch_model.load_state_dict(
                {name: torch.from_numpy(array) for name, array in model.state_dict().items()}
            )
        """
        from cnnx.layers import state

        return state.state_dict(self)

    def load_state_dict(self, arrays: Any, strict: bool = True) -> LoadResult:
        """Copy arrays (NumPy's, or CPU tensors) by name into the parameters and buffers.

        All names and shapes are checked before anything changes: ValueError lists what is missing,
        unexpected or of another shape. strict=False loads what matches by name and returns the
        rest as ``(missing_keys, unexpected_keys)``; a wrong shape is still an error. The layer's
        dtype does not change.

        Example: ``model.load_state_dict(torch_model.state_dict())``
        """
        from cnnx.layers import state

        return state.load_state_dict(self, arrays, strict)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, with which `cnnx.load` recreates the layer.

        Read from the attributes of the same names; a class without these overrides this method.
        Values are numbers, strings, None, layers, and tuples and dicts of these.
        """
        names = [
            name
            for name, argument in inspect.signature(type(self)).parameters.items()
            if argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
        ]
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise TypeError(
                f"{type(self).__name__} cannot be described: it has no attribute {missing[0]!r} "
                "for its constructor's argument; give it a config() that returns the arguments"
            )
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer that `config` described."""
        return cls(**config)

    def save(self, path: File) -> None:
        """Write the model (architecture, weights, statistics, modes) to `path`; see `cnnx.load`.

        `path` may also be a binary file object, such as ``io.BytesIO()``.

        Example: ``model.save("digits.npz")``
        """
        from cnnx.layers import files

        files.save(self, path)

    # -- shapes --------------------------------------------------------------------------------

    def output_shape(self, *input_shapes: Any) -> Any:
        """The output shape for one sample of the given shape, both without the batch axis.

        Takes one shape for each input; returns a tuple of shapes if there are several outputs. Runs
        forward on an empty batch: right for every layer that accepts one.

        Example: ``Conv2D(1, 6, 5).output_shape((1, 28, 28))`` is ``(6, 24, 24)``.
        """
        empty = [np.empty((0, *map(int, shape)), np.float32) for shape in input_shapes]
        with run_mode(training=False), no_grad():
            y = self.forward(*empty)
        return tuple(each.shape[1:] for each in y) if isinstance(y, tuple) else tuple(y.shape[1:])

    def flow(self, *input_shapes: Any) -> Iterator[tuple[str, Layer, tuple[Any, ...]]]:
        """(name, layer, its input shapes) of the direct sub-layers, for one sample's forward.

        Containers define it for `macs` and `summary`; without it a layer is one row of `summary`.
        """
        return iter(())

    def macs(self, *input_shapes: Any) -> int:
        """Multiply-adds of one sample's forward; 0 for layers without a matrix product."""
        return sum(layer.macs(*shapes) for _, layer, shapes in self.flow(*input_shapes))

    def summary(self, *input_shapes: Any, fused: bool = False) -> Summary:
        """A table of layers, output shapes, parameters and multiply-adds for one sample.

        input_shapes  the shape of one sample, without the batch axis, or a number of features; one
                      for each input. ValueError for a shape that is invalid or does not fit
        fused         True: add a column with the step of a training forward that runs each layer

        Example: ``print(model.summary((1, 28, 28)))``
        """
        from cnnx.layers.summary import summarise

        return summarise(self, *input_shapes, fused=fused)

    # -- text ----------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The text between the parentheses of the repr."""
        return ""

    @recursive_repr("(...)")
    def __repr__(self) -> str:
        children = list(self.children())
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = "\n".join(f"({name}): {child!r}" for name, child in children)
        return f"{type(self).__name__}(\n  " + lines.replace("\n", "\n  ") + "\n)"
