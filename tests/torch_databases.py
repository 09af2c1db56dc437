"""PyTorch's own databases of samples, run through cnnx: ``python tests/torch_databases.py``.

`torch.testing._internal` lists, for each module of torch.nn, each op and each optimiser, the
arguments and inputs with which PyTorch tests it. Each sample of what cnnx has too is run forward
and backward in float64, with PyTorch's weights, and compared with PyTorch. The printed table has a
line for each name: samples run, passed, and the number skipped for each reason.
"""

# Design:
# A sample is skipped by a rule that is stated here before it is run, never because it raised: an
# argument that cnnx lacks, or a row of `LIMITS`. Everything else must pass, and
# tests/test_torch_databases.py holds the whole table.
#
# Importing the databases takes seconds, and changes settings of PyTorch
# (`torch.backends.disable_global_flags`), so it is done on first use only.

from __future__ import annotations

import collections
import dataclasses
import functools
import importlib
import inspect
import math
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from tolerance import assert_close, tolerance
from torch_ops import OPS

import cnnx
from cnnx import nn

# Why a sample is skipped (None: it is not), and the function that checks it.
Samples = Iterator[tuple[str | None, functools.partial[None]]]

# ----------------------------------------------------------------------------------------- rows

# The modules that are run: a class that cnnx.nn gains is one more name here.
MODULES = (
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "BCELoss",
    "BCEWithLogitsLoss", "BatchNorm1d", "BatchNorm2d", "Conv1d", "Conv2d", "ConvTranspose1d",
    "ConvTranspose2d", "CrossEntropyLoss", "ELU", "Embedding", "GELU", "GroupNorm", "Hardswish",
    "HuberLoss", "InstanceNorm2d", "L1Loss", "LayerNorm", "LeakyReLU", "Linear",
    "LocalResponseNorm", "LogSoftmax", "MSELoss", "MaxPool1d", "MaxPool2d", "Mish", "NLLLoss",
    "PReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Softplus", "Tanh",
    "ZeroPad1d", "ZeroPad2d",
)  # fmt: skip

# Names of cnnx.nn that torch.nn has too, and for which the database has no samples.
WITHOUT_SAMPLES = (
    "Dropout", "Dropout2d", "Flatten", "Hardsigmoid", "Identity", "Module", "Parameter",
    "Sequential", "Upsample",
)  # fmt: skip

# Name in torch.optim: in cnnx.optim.
OPTIMISERS = {
    "Adagrad": "Adagrad",
    "Adam": "Adam",
    "AdamW": "AdamW",
    "NAdam": "NAdam",
    "RMSprop": "RMSProp",
    "SGD": "SGD",
}

# Arguments that cnnx lacks.
LACKING = (
    "bias", "dtype", "pos_weight", "recompute_scale_factor", "return_indices",
    "weight",
)  # fmt: skip

_OF_IMAGES = ("Conv2d", "conv2d", "conv_transpose2d", "pool2d", "interpolate", "pad")

# What cnnx refuses by its documentation: the reason in the table, and a condition on the name, the
# inputs and the options of a sample.
LIMITS: tuple[tuple[str, Callable[[str, list[Any], dict[str, Any]], bool]], ...] = (
    ("a row without a batch", lambda name, x, o: x[0].ndim == 1 and name in
        ("batch_norm", "nll_loss")),
    ("an axis of a number", lambda name, x, o: x[0].ndim == 0 and "softmax" in name.lower()),
    ("a slope without an axis", lambda name, x, o: name == "prelu" and o["weight"].ndim == 0),
    ("not a batch of images", lambda name, x, o: x[0].ndim != 4 and name.endswith(_OF_IMAGES)
        and name[0].islower()),
    ("another mode", lambda name, x, o: o.get("mode", "constant") not in
        ("constant", "nearest", "bilinear")),
    ("other axes to pad", lambda name, x, o: len(o.get("pad", ())) > 4),
    ("stride=()", lambda name, x, o: o.get("stride") == ()),
    ("eps below 0", lambda name, x, o: (o.get("eps") or 0) < 0),
    ("momentum below 0", lambda name, x, o: (o.get("momentum") or 0) < 0),
)  # fmt: skip

# Ops whose gradient PyTorch computes in float64 with a constant of float32 (1/6).
COARSE = ("hardsigmoid",)


def reason_to_skip(
    name: str, has: Mapping[str, Any], inputs: list[Any], options: dict[str, Any]
) -> str | None:
    """The argument that cnnx does not have, or the limit; None for a sample that is run."""
    for option, value in options.items():
        if option not in has and value is not None:
            assert option in LACKING, f"{name}: {option}= is neither in cnnx nor in LACKING"
            return f"no {option}="
    return next((reason for reason, so in LIMITS if inputs and so(name, inputs, options)), None)


# ----------------------------------------------------------------------------------- comparison


def array(value: Any) -> Any:
    """A tensor as an array of its own."""
    return value.detach().numpy().copy() if hasattr(value, "detach") else value


def fresh(value: Any) -> Any:
    """A tensor as a leaf of its own."""
    if hasattr(value, "detach"):
        return value.detach().clone().requires_grad_(value.requires_grad)
    return value


@dataclasses.dataclass(frozen=True)
class Rounding:
    """What a sum of `length` products of these inputs may be off by."""

    length: int
    term: float = 1.0
    dtype: Any = np.float64

    @classmethod
    def of(cls, arrays: Iterable[np.ndarray], dtype: Any = np.float64) -> Rounding:
        """Of the input and the weight, in this order; further arrays make the sum longer."""
        arrays = list(arrays)
        largest = [max(1.0, float(np.max(np.abs(a), initial=0.0))) for a in arrays[:2]]
        return cls(sum(a.size for a in arrays), math.prod(largest), dtype)

    def close(self, actual: Any, expected: Any, what: str) -> None:
        """Within the tolerance of the length, relative to a term or to the largest result."""
        expected = array(expected)
        largest = max(self.term, float(np.max(np.abs(expected), initial=0.0)))
        assert_close(actual, expected, tolerance(self.dtype, self.length) * largest, what)


# -------------------------------------------------------------------------------------- modules


@functools.cache
def database(file: str, name: str) -> list[Any]:
    """One of PyTorch's lists of samples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(f"torch.testing._internal.{file}")
    return list(getattr(module, name))


def module_samples(name: str) -> Samples:
    """All samples of a module, in training mode and, where that differs, in evaluation."""
    import torch

    (info,) = (i for i in database("common_modules", "module_db") if i.module_cls.__name__ == name)
    has = inspect.signature(getattr(nn, name).__init__).parameters
    for training in (True, False) if info.train_and_eval_differ else (True,):
        torch.manual_seed(zlib.crc32(name.encode()))
        for given in info.module_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
        ):
            made, run = given.constructor_input, given.forward_input
            bound = inspect.signature(info.module_cls.__init__).bind(
                None, *made.args, **made.kwargs
            )
            options = {key: _allowed(key, v) for key, v in bound.arguments.items() if key != "self"}
            twin = info.module_cls(**options).double().train(training)
            inputs = [*run.args, *run.kwargs.values()]
            reason = reason_to_skip(name, has, inputs, options)
            yield reason, functools.partial(check_module, name, options, inputs, twin)


def _allowed(option: str, value: Any) -> Any:
    """The weights of losses, which are random, without their signs: cnnx refuses negative ones."""
    return value.abs() if option in ("weight", "pos_weight") and value is not None else value


def check_module(name: str, options: dict[str, Any], inputs: list[Any], twin: Any) -> None:
    """Forward, backward, gradients of weights and buffers are PyTorch's."""
    import torch

    own = getattr(nn, name)(**{key: array(value) for key, value in options.items()})
    is_loss = isinstance(own, cnnx.losses.Loss)
    if not is_loss:
        own = own.astype(np.float64).train(twin.training)
        own.load_state_dict(twin.state_dict())
    tensors, arrays = [fresh(i) for i in inputs], [array(i) for i in inputs]
    rounding = Rounding.of([*arrays[:1], *map(array, twin.parameters()), *arrays[1:]])
    y, expected = own(*arrays), twin(*tensors)
    rounding.close(y, expected, "forward")
    number = is_loss and expected.ndim == 0
    dy = np.random.default_rng(0).normal(size=expected.shape)
    if expected.requires_grad:
        expected.backward(None if number else torch.tensor(dy))
    dx = own.backward() if number else own.backward(dy)
    if tensors[0].requires_grad:
        rounding.close(dx, tensors[0].grad, "backward")
    if not is_loss:
        _check_state(own, twin, rounding)


def _check_state(own: cnnx.Layer, twin: Any, rounding: Rounding) -> None:
    grads = {key: parameter.grad for key, parameter in own.named_parameters()}
    theirs = {key: parameter.grad for key, parameter in twin.named_parameters()}
    assert grads.keys() == theirs.keys()
    for key, grad in theirs.items():
        rounding.close(grads[key], grad, f"gradient of {key}")
    state = own.state_dict()
    assert state.keys() == twin.state_dict().keys()
    for key, value in twin.state_dict().items():
        rounding.close(state[key], value, f"state {key}")


# ------------------------------------------------------------------------------------------ ops


@functools.cache
def _variants(name: str) -> list[tuple[Callable[..., Any], list[Any]]]:
    """The function and the samples of each variant of an op."""
    import torch

    found = []
    for info in database("common_methods_invocations", "op_db"):
        if info.name.removeprefix("nn.functional.") == name and torch.float64 in info.dtypes:
            torch.manual_seed(zlib.crc32(name.encode()))
            samples = info.sample_inputs("cpu", torch.float64, requires_grad=True)
            found.append((info.op, list(samples)))
    return found


def op_samples(name: str, every: int = 1) -> Samples:
    """All samples of the variants of an op, or one in `every`."""
    own, has = OPS[name], inspect.signature(OPS[name]).parameters
    for theirs, samples in _variants(name):
        for given in samples[::every]:
            # False and None are PyTorch's defaults of the options that cnnx lacks.
            named = {
                k: v for k, v in given.kwargs.items() if k in has or not (v is None or v is False)
            }
            kept = {key: value for key, value in named.items() if key in has}
            bound = inspect.signature(own).bind(given.input, *given.args, **kept).arguments
            reason = reason_to_skip(name, has, [given.input], {**named, **bound})
            yield reason, functools.partial(check_op, name, theirs, given)


def check_op(name: str, theirs: Callable[..., Any], given: Any) -> None:
    """Forward, and the gradients of all arrays for which cnnx computes one, are PyTorch's."""
    import torch

    has = inspect.signature(OPS[name]).parameters
    x, args = fresh(given.input), [fresh(value) for value in given.args]
    named = {key: fresh(value) for key, value in given.kwargs.items()}
    kept = {key: value for key, value in named.items() if key in has}
    tensors = inspect.signature(OPS[name]).bind(x, *args, **kept).arguments
    arrays = {key: array(value) for key, value in tensors.items()}
    given_arrays = {k: v for k, v in arrays.items() if isinstance(v, np.ndarray)}
    ordered = sorted(given_arrays, key=("x", "weight").__contains__, reverse=True)
    rounding = Rounding.of(
        [given_arrays[key] for key in ordered], np.float32 if name in COARSE else np.float64
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same'")  # says that it is slower
        expected = theirs(x, *args, **named)
    y, backward = OPS[name](**arrays)
    rounding.close(y, expected, "forward")
    # An op of a loss returns the gradient of the sum of its values.
    dy = np.random.default_rng(0).normal(size=expected.shape)
    dy = np.ones_like(dy) if "target" in has else dy
    expected.backward(torch.tensor(dy))
    for key, grad in backward(dy).items():
        tensor = tensors.get(key)
        if tensor is not None and tensor.requires_grad:
            rounding.close(grad, tensor.grad, f"gradient of {key}")


# ----------------------------------------------------------------------------------- optimisers


def optimiser_samples(name: str) -> Samples:
    """All settings of an optimiser."""
    (info,) = (o for o in database("common_optimizers", "optim_db") if o.optim_cls.__name__ == name)
    has = inspect.signature(getattr(cnnx.optim, OPTIMISERS[name])).parameters
    for given in info.optim_inputs_func(device="cpu"):
        options = {key: float(v) if hasattr(v, "detach") else v for key, v in given.kwargs.items()}
        yield (
            reason_to_skip(name, has, [], options),
            functools.partial(check_optimiser, name, info.optim_cls, options),
        )


def check_optimiser(name: str, theirs: Any, options: dict[str, Any]) -> None:
    """Ten steps of two parameters are PyTorch's."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam's product of momenta has the default dtype
    try:
        _compare_steps(torch, name, theirs, options)
    finally:
        torch.set_default_dtype(before)


def _compare_steps(torch: Any, name: str, theirs: Any, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    params = [cnnx.Parameter(rng.normal(size=shape)) for shape in ((3, 4), (5,))]
    tensors = [torch.tensor(p.data.copy(), requires_grad=True) for p in params]
    twin = theirs(tensors, **options)
    own = getattr(cnnx.optim, OPTIMISERS[name])(params, **{"lr": twin.defaults["lr"], **options})
    for _ in range(10):
        own.zero_grad()
        for parameter, tensor in zip(params, tensors, strict=True):
            grad = rng.normal(size=parameter.shape)
            parameter.accumulate(grad)
            tensor.grad = torch.tensor(grad)
        own.step()
        twin.step()
        for parameter, tensor in zip(params, tensors, strict=True):
            Rounding(10).close(parameter.data, tensor, "parameter")


# ---------------------------------------------------------------------------------------- table

SECTIONS: dict[str, tuple[Iterable[str], Callable[[str], Samples]]] = {
    "modules": (MODULES, module_samples),
    "ops": (OPS, op_samples),
    "optimisers": (OPTIMISERS, optimiser_samples),
}


@dataclasses.dataclass
class Row:
    """What became of the samples of one name."""

    name: str
    run: int = 0
    skipped: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    failed: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(self.skipped.items()))
        passed = self.run - len(self.failed)
        line = f"{self.name:<33}{self.run:>4} run {passed:>4} passed"
        return line + (f"  skipped: {why}" if why else "")


def run(name: str, samples: Samples) -> Row:
    """All samples of one name, with the current backend."""
    row = Row(name)
    for reason, check in samples:
        if reason:
            row.skipped[reason] += 1
            continue
        row.run += 1
        try:
            check()
        except Exception as error:  # of any kind: the table counts it, and the test shows it
            row.failed.append(f"{check.args}: {type(error).__name__}: {error}")
    return row


def main() -> None:
    """The table of the current backend, and the failures."""
    for title, (names, samples) in SECTIONS.items():
        print(f"-- {title}, backend {cnnx.get_backend()}")
        for name in names:
            row = run(name, samples(name))
            print(row, *row.failed, sep="\n    ", flush=True)


if __name__ == "__main__":
    main()
