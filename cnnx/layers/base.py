"""`Layer`: the protocol that every layer follows, and what a layer can do by itself."""

# Design:
# A layer is state and two calls. It holds parameters and settings as plain attributes; parameters,
# sub-layers and buffers are found by looking at the attributes (inside.py), so nothing is
# registered and the objects pickle. `forward` keeps what `backward` needs with `_save`, `backward`
# asks for it with `_saved`. Inside a container the run takes these values away and hands them back
# (graph/steps.py), so one layer may stand at several places.
# cnnx's own layer classes carry the mark `@builtin`. It says two things that can not be known of a
# user's class: the class keeps values through `_save` alone, and it learns through Parameters
# alone. The marked classes are also the only ones that `load` builds by itself.

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from cnnx.layers.assignment import check_assignment
from cnnx.layers.dtype import as_float
from cnnx.layers.inside import held
from cnnx.layers.kept import Watched, keep
from cnnx.layers.parameter import Parameter
from cnnx.layers.run import Mode, grad_enabled, no_grad, run_mode
from cnnx.preprocessing import Carried

if TYPE_CHECKING:
    from typing_extensions import Self

    from cnnx.layers.state import LoadResult
    from cnnx.layers.summary import Summary

__all__ = ["BUILTIN", "Layer", "builtin"]

BUILTIN: dict[str, type[Layer]] = {}
_OF_A_RUN = ("_kept", "_plan")  # attributes that no copy and no pickle takes along
AnyLayer = TypeVar("AnyLayer", bound="type[Layer]")


def builtin(cls: AnyLayer) -> AnyLayer:
    """Mark a layer class of cnnx itself (see the design block above)."""
    BUILTIN[cls.__name__] = cls
    return cls


class Layer:
    """Base of all layers. Subclass it with `forward(x)` and `backward(dy)`, and that is a layer.

    ``y = layer(x)`` is ``layer.forward(x)``; ``dx = layer.backward(dy)`` goes back through the last
    forward and adds to the gradients of the parameters. `backward` may take ``need_dx=True`` and
    return None when it is False; it need not know the argument.

    A subclass may store what it likes on ``self``. Attributes that are a `Parameter` or a `Layer`
    take part in `parameters`, `state_dict`, `train`, `save` and so on, and so do those in lists,
    tuples and dicts at any depth (where PyTorch wants a ModuleList): ``self.blocks = [[conv,
    norm]]`` has the key ``"blocks.0.1.weight"``, ``self.heads = {"a": linear}`` the key
    ``"heads.a.weight"``.

    ``self._save(x)`` in forward keeps values for ``(x,) = self._saved()`` in backward. Arrays are
    kept, not copied: input, output and weights of a layer must stay as they are until backward is
    done. A batch that was written over is a RuntimeError there, mostly (kept.py says how it is
    found). A layer that keeps values by `_save` alone writes nothing on itself inside `no_grad`, so
    any number of threads may predict with it; what it stores under names of its own is neither
    compared nor apart.

    training         True until `eval`; dropout and batch normalisation behave differently then.
                     `predict` and `evaluate` run in eval mode, `fit` in train mode, and change
                     nothing: inside them it reads False, or True (see `run_mode`)
    preprocessing    how samples are made into what the model takes, a `Preprocessing` or None
    buffer_names     attributes with arrays that are saved though not learnt, as running means are
    parameter_names  attributes that are a Parameter or None, where None may come first. To assign
                     anything else is a TypeError, as it is wherever a Parameter or Layer stands

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
        if isinstance(vars(cls).get("training"), bool):  # its layers' own, under that of a run
            cls.training = Mode(vars(cls)["training"])

    # -- the two calls -------------------------------------------------------------------------

    def forward(self, x: Any) -> Any:
        """The output for a batch. Every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(x)")

    def backward(self, dy: Any) -> Any:
        """The gradient of the loss by the last forward's input, from that by its output."""
        raise NotImplementedError(f"{type(self).__name__} has no backward(dy)")

    def __call__(self, *xs: Any, **named: Any) -> Any:
        if "x" in named:  # the first input, whatever forward calls it
            xs = named.pop("x"), *xs
        for x in xs:
            if hasattr(type(x), "__cnnx_call__"):  # a Symbol takes the call (graph/symbol.py)
                return x.__cnnx_call__(self, xs, **named)
        return self.forward(*xs, **named)

    def _save(self, *values: Any) -> None:
        """Keep values for backward, in place of the last ones; inside `no_grad` nothing happens."""
        if grad_enabled():
            self._keep(keep(values))

    def _forget(self) -> None:
        """Free what the last forward saved, before this one saves as much again."""
        if grad_enabled():
            self._keep(None)

    def _keep(self, kept: tuple[Any, ...] | None) -> None:
        # Not by __setattr__, whose checks are for what users assign: every layer of a step is here.
        vars(self)["_kept"] = kept

    def _saved(self) -> tuple[Any, ...]:
        """What forward kept. RuntimeError in words if there was no forward, or if one of these
        arrays was written over since (kept.py).
        """
        if self._kept is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward: no forward to go back through: call the layer on "
                "data first, outside of no_grad, once for each backward (inside a model: call the "
                "model's backward)"
            )
        if type(self._kept) is Watched:
            self._kept.check(type(self).__name__)
        return self._kept

    def _float(self, x: Any, dtype: Any = None) -> np.ndarray:
        """x as an array that ops take, cast to `dtype` if given (see `as_float`)."""
        return as_float(type(self).__name__, x, dtype)

    def __setattr__(self, name: str, value: Any) -> None:
        declared = name in self.parameter_names or name in self.buffer_names
        guarded = declared or isinstance(vars(self).get(name), (Parameter, Layer))
        if guarded and value is not None and not isinstance(value, (Parameter, Layer)):
            check_assignment(self, name, value)
        if isinstance(value, Parameter) and not value.name:
            value.name = name
        object.__setattr__(self, name, value)

    # -- what is inside ------------------------------------------------------------------------

    def children(self) -> Iterator[tuple[str, Layer]]:
        """(name, layer) of the layers directly inside, in order; one that stands twice, twice."""
        return iter(held(self._attributes(), Layer))

    def own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, parameter) of this layer itself, without those of the layers inside."""
        for name, parameter in held(self._attributes(), Parameter):
            if not parameter.name:  # in a list or dict: an attribute's has its name from there
                parameter.name = name
            yield name, parameter

    def _attributes(self) -> dict[str, Any]:
        """The attributes that last, as they are at this moment: another thread may add some."""
        attributes = vars(self).copy()
        for name in _OF_A_RUN:
            attributes.pop(name, None)
        return attributes

    def modules(self) -> Iterator[Layer]:
        """This layer and all layers inside at any depth, each once."""
        seen: set[int] = set()
        stack: list[Layer] = [self]
        while stack:
            layer = stack.pop()
            if id(layer) not in seen:
                seen.add(id(layer))
                yield layer
                stack.extend(reversed([child for _, child in layer.children()]))

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """("0.weight", parameter) of this layer and all inside, each parameter once."""
        seen: set[int] = set()
        for path, layer in self.places(prefix):
            for name, parameter in layer.own_parameters():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield path + name, parameter

    def parameters(self) -> list[Parameter]:
        """All parameters of this layer and those inside, each once: what an optimiser takes."""
        return [parameter for _, parameter in self.named_parameters()]

    def places(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """("", self), ("0.", first layer), ...: every place in the tree, shared layers repeated.

        A layer that knows the one it stands in does not hold it.
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
        """Switch this layer and all inside to training behaviour; returns the layer."""
        for layer in self.modules():
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Switch to inference behaviour: no dropout, batch norm by its running statistics."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients; the next backward writes them afresh."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def freeze(self) -> Self:
        """Keep all parameters as they are: no gradients, optimisers pass by. Returns the layer.

        Batch norm's running statistics follow train and eval mode, as in PyTorch.
        """
        for parameter in self.parameters():
            parameter.requires_grad = False
            parameter.zero_grad()
        return self

    def unfreeze(self) -> Self:
        """Let all parameters learn again. Returns the layer."""
        for parameter in self.parameters():
            parameter.requires_grad = True
        return self

    # -- dtype, copies, files ------------------------------------------------------------------

    def astype(self, dtype: Any) -> Self:
        """Cast parameters and float buffers, in place, to float32 or float64. Returns the layer.

        Optimisers that hold the parameters go on working: their state is cast at the next step.
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
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        return self._attributes()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name: ``"0.weight"``, ``"1.running_mean"``.

        Names, order and shapes are PyTorch's, so weights move over in both directions. Its
        `load_state_dict` wants tensors, which share the memory of our copies:

            torch_model.load_state_dict(
                {name: torch.from_numpy(array) for name, array in model.state_dict().items()}
            )
        """
        from cnnx.layers import state

        return state.state_dict(self)

    def load_state_dict(self, arrays: Any, strict: bool = True) -> LoadResult:
        """Copy arrays (NumPy's, or CPU tensors) by name into the parameters and buffers.

        All names and shapes are checked before anything changes: ValueError lists what is missing,
        unexpected or of another shape. strict=False loads what fits by name and returns the rest
        as ``(missing_keys, unexpected_keys)``; a wrong shape is an error then too. The layer's
        dtype stays.

        Example: ``model.load_state_dict(torch_model.state_dict())``
        """
        from cnnx.layers import state

        return state.load_state_dict(self, arrays, strict)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, by which `cnnx.load` makes the layer again.

        Read from the attributes of the same names. A class that keeps them otherwise overrides
        this; values are numbers, strings, None, layers, and tuples and dicts of these.
        """
        names = [
            name
            for name, argument in inspect.signature(type(self)).parameters.items()
            if argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
        ]
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise TypeError(
                f"{type(self).__name__} can not be described: it has no attribute {missing[0]!r} "
                "for its constructor's argument; give it a config() that returns the arguments"
            )
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer that `config` described."""
        return cls(**config)

    def save(self, path: Any) -> None:
        """Write the model (architecture, weights, statistics, modes) to `path`; see `cnnx.load`.

        A binary file object, such as ``io.BytesIO()``, may stand in the path's place.

        Example: ``model.save("digits.npz")``
        """
        from cnnx.layers import files

        files.save(self, path)

    # -- shapes --------------------------------------------------------------------------------

    def output_shape(self, *input_shapes: Any) -> Any:
        """The shape of one sample's output, from that of one sample without the batch axis.

        Several shapes for a layer of several inputs; a tuple of shapes where there are several
        outputs. Runs forward on an empty batch: right for every layer that accepts one.

        Example: ``Conv2D(1, 6, 5).output_shape((1, 28, 28))`` is ``(6, 24, 24)``.
        """
        empty = [np.empty((0, *map(int, shape)), np.float32) for shape in input_shapes]
        with run_mode(training=False), no_grad():
            y = self.forward(*empty)
        return tuple(each.shape[1:] for each in y) if isinstance(y, tuple) else tuple(y.shape[1:])

    def flow(self, *input_shapes: Any) -> Iterator[tuple[str, Layer, tuple[Any, ...]]]:
        """(name, layer, its input shapes) of the layers directly inside, for one sample's forward.

        What containers tell `macs` and `summary`; of a layer that tells nothing, `summary` makes
        one row.
        """
        return iter(())

    def macs(self, *input_shapes: Any) -> int:
        """Multiply-adds of one sample's forward; 0 for layers without a matrix product."""
        return sum(layer.macs(*shapes) for _, layer, shapes in self.flow(*input_shapes))

    def summary(self, *input_shapes: Any, fused: bool = False) -> Summary:
        """A table of layers, output shapes, parameters and multiply-adds for one sample.

        input_shapes  that of one sample, without the batch; a number of features too; several for
                      several inputs. ValueError for what is no shape, or does not fit a layer
        fused         True: a column with the step of a training run in which each layer runs

        Example: ``print(model.summary((1, 28, 28)))``
        """
        from cnnx.layers.summary import summarise

        return summarise(self, *input_shapes, fused=fused)

    # -- text ----------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr."""
        return ""

    @recursive_repr("(...)")
    def __repr__(self) -> str:
        children = list(self.children())
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = "\n".join(f"({name}): {child!r}" for name, child in children)
        return f"{type(self).__name__}(\n  " + lines.replace("\n", "\n  ") + "\n)"
