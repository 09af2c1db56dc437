"""The PyTorch version of every workload: `TWINS`, op -> a function that makes the call.

A twin's factory takes the module torch and the task's arguments, with arrays as tensors, and
returns the call, or None if PyTorch has none. To give a new op a twin, add a line to `TWINS`.
This file is longer than others because the twins of all ops are in one place.
"""

# Design:
# A twin is what a PyTorch user runs: eager mode, default arguments, NCHW or channels_last as given
# by the input tensors. Backwards call the operators that autograd would call, without the graph
# around them, and optimiser ops use the fused step if there is one: the fastest form of each, so
# that no ratio is flattering. A training step is the usual loop with the usual (not fused)
# optimiser.

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from cnnx import layers, ops
from cnnx.graph.container import Container

from .task import Arguments

__all__ = ["TWINS", "Twin", "arrays_of", "module"]


@dataclass(frozen=True)
class Twin:
    """A peer's call: `run()` makes it, `read(result)` returns the numbers in cnnx's form."""

    run: Callable[[], Any]
    read: Callable[[Any], list[np.ndarray]]


def arrays_of(result: Any) -> list[np.ndarray]:
    """Tensors and numbers as arrays."""
    results = result if isinstance(result, (tuple, list)) else [result]
    made = [r for r in results if r is not None]
    return [r.detach().numpy() if hasattr(r, "detach") else np.asarray(r) for r in made]


Make = Callable[[Any, Arguments], "Callable[[], Any] | Twin | None"]


# ---------------------------------------------------------------------------- windows and Linear


def _pair(n: int) -> list[int]:
    return [n, n]


def _conv2d(torch: Any, a: Arguments) -> Callable[[], Any]:
    return lambda: torch.nn.functional.conv2d(**{"input" if k == "x" else k: a[k] for k in a})


def _conv2d_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    geometry = (_pair(a["stride"]), _pair(a["padding"]), [1, 1], False, [0, 0], a["groups"])
    backward, bias = torch.ops.aten.convolution_backward, [a["weight"].shape[0]]
    wanted = [a["need_dx"], True, True]
    return lambda: backward(a["dy"], a["x"], a["weight"], bias, *geometry, wanted)


def _conv_transpose2d(torch: Any, a: Arguments) -> Callable[[], Any]:
    convolve = torch.nn.functional.conv_transpose2d
    return lambda: convolve(**{"input" if k == "x" else k: a[k] for k in a})


def _conv_transpose2d_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    geometry = (_pair(a["stride"]), _pair(a["padding"]), [1, 1], True, [0, 0], a["groups"])
    backward, bias = torch.ops.aten.convolution_backward, [a["weight"].shape[1] * a["groups"]]
    return lambda: backward(a["dy"], a["x"], a["weight"], bias, *geometry, [True] * 3)


def _window(a: Arguments) -> tuple[int, int, int]:
    return a["kernel_size"], a["stride"], a["padding"]


def _im2col(torch: Any, a: Arguments) -> Twin:
    """unfold returns (n, c*k*k, oh*ow): the same numbers in another order."""
    k, stride, padding = _window(a)

    def read(result: Any) -> list[np.ndarray]:
        return [result.transpose(1, 2).flatten(0, 1).numpy()]

    unfold = torch.nn.functional.unfold
    return Twin(lambda: unfold(a["x"], k, padding=padding, stride=stride), read)


def _col2im(torch: Any, a: Arguments) -> Callable[[], Any]:
    k, stride, padding = _window(a)
    cols = a["cols"].unflatten(0, (a["x_shape"][0], -1)).transpose(1, 2).contiguous()
    fold, size = torch.nn.functional.fold, a["x_shape"][2:]
    return lambda: fold(cols, size, k, padding=padding, stride=stride)


def _max_pool2d(torch: Any, a: Arguments) -> Twin:
    """With the indices that backward needs: positions in the image, where cnnx stores a byte."""
    (k, stride, padding), dilation = _window(a), a.get("dilation", 1)
    w = a["x"].shape[3]

    def read(result: Any) -> list[np.ndarray]:
        y, index = (r.numpy() for r in result)
        rows, columns = np.arange(y.shape[2])[:, None], np.arange(y.shape[3])
        u, v = index // w - (rows * stride - padding), index % w - (columns * stride - padding)
        return [y, u // dilation * k + v // dilation]

    pool = torch.nn.functional.max_pool2d
    return Twin(lambda: pool(a["x"], k, stride, padding, dilation, return_indices=True), read)


def _relu_max_pool2d(torch: Any, a: Arguments) -> Twin:
    """Two calls; a window without a value above 0 has a code one beyond those of the maxima."""
    maximum, relu = _max_pool2d(torch, a), torch.nn.functional.relu
    pool, (k, stride, padding) = torch.nn.functional.max_pool2d, _window(a)

    def read(result: Any) -> list[np.ndarray]:
        y, code = maximum.read(result)
        return [y, np.where(y == 0, k * k, code)]

    return Twin(lambda: pool(relu(a["x"]), k, stride, padding, return_indices=True), read)


def _relu_max_pool2d_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    """Two calls too. The ReLU output is 0 at the first pixel of a dead window, else positive."""
    k = a["kernel_size"]
    dead = a["argmax"] == k * k
    # The centre of a dead window, which is inside the image whatever the padding.
    code = torch.where(dead, k * k // 2, a["argmax"])
    pool = _to_first_maximum(torch, {**a, "argmax": code})
    kept = _to_first_maximum(torch, {**a, "argmax": code, "dy": (~dead).to(a["dy"].dtype)})()
    relu = torch.ops.aten.threshold_backward
    return lambda: relu(pool(), kept, 0)


def _max_pool2d_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    return (_to_all_maxima if "ties" in a else _to_first_maximum)(torch, a)


def _to_all_maxima(torch: Any, a: Arguments) -> Callable[[], Any]:
    """No single call: the windows as columns, compared, and added back."""
    k, stride, padding = _window(a)
    (n, c, h, w), f = a["x_shape"], torch.nn.functional

    def run() -> Any:
        padded = f.pad(a["x"], [padding] * 4, value=-torch.inf)
        columns = f.unfold(padded, k, stride=stride).view(n, c, k * k, -1)
        shares = (columns == columns.amax(2, keepdim=True)) * a["dy"].reshape(n, c, 1, -1)
        return f.fold(shares.view(n, c * k * k, -1), (h, w), k, stride=stride, padding=padding)

    return run


def _to_first_maximum(torch: Any, a: Arguments) -> Callable[[], Any]:
    (k, stride, padding), dilation = _window(a), a.get("dilation", 1)
    code = a["argmax"].long()
    rows = (torch.arange(code.shape[2]) * stride - padding)[:, None]
    columns = torch.arange(code.shape[3]) * stride - padding
    index = (rows + code // k * dilation) * a["x_shape"][3] + columns + code % k * dilation
    x = torch.zeros(a["x_shape"], dtype=a["dy"].dtype)
    window = (_pair(k), _pair(stride), _pair(padding), _pair(dilation), False)
    backward = torch.ops.aten.max_pool2d_with_indices_backward
    return lambda: backward(a["dy"], x, *window, index)


def _avg_pool2d(torch: Any, a: Arguments) -> Callable[[], Any]:
    return lambda: torch.nn.functional.avg_pool2d(a["x"], *_window(a))


def _avg_pool2d_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    x = torch.zeros(a["x_shape"], dtype=a["dy"].dtype)
    window = [_pair(n) for n in _window(a)]
    backward = torch.ops.aten.avg_pool2d_backward
    return lambda: backward(a["dy"], x, *window, False, True, None)


def _global_avg_pool2d_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    shape = a["x_shape"]
    return lambda: a["dy"].expand(shape) / (shape[2] * shape[3])


def _adaptive_avg_pool2d(torch: Any, a: Arguments) -> Callable[[], Any]:
    pool = torch.nn.functional.adaptive_avg_pool2d
    return lambda: pool(a["x"], a["output_size"])


def _adaptive_avg_pool2d_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    if tuple(a["dy"].shape[2:]) == (1, 1):  # in PyTorch the backward of a mean
        return _global_avg_pool2d_backward(torch, a)
    x = torch.zeros(a["x_shape"], dtype=a["dy"].dtype)
    backward = torch.ops.aten._adaptive_avg_pool2d_backward
    return lambda: backward(a["dy"], x)


def _interpolate(torch: Any, a: Arguments) -> Callable[[], Any]:
    resize = torch.nn.functional.interpolate
    return lambda: resize(a["x"], size=a["size"], mode=a["mode"])


def _interpolate_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    backward = getattr(torch.ops.aten, f"upsample_{a['mode']}2d_backward")
    corners = (False,) if a["mode"] == "bilinear" else ()
    return lambda: backward(a["dy"], a["size"], a["x_shape"], *corners)


def _zero_pad2d(torch: Any, a: Arguments) -> Callable[[], Any]:
    return lambda: torch.nn.functional.pad(a["x"], (a["padding"],) * 4)


def _pad(torch: Any, a: Arguments) -> Callable[[], Any]:
    sides = [n for pair in reversed(a["padding"][2:]) for n in pair]
    return lambda: torch.nn.functional.pad(a["x"], sides, a["mode"])


def _reduce(torch: Any, a: Arguments) -> Callable[[], Any]:
    return lambda: torch.sum(a["x"], a["axes"])


def _lstm(torch: Any, a: Arguments) -> Twin:
    """PyTorch's gates are i, f, g, o."""
    (inputs, hidden), x = (a[name].shape[2] for name in ("w", "r")), a["x"]
    net = torch.nn.LSTM(inputs, hidden, dtype=x.dtype)
    order = torch.arange(4 * hidden).reshape(4, hidden)[[0, 2, 3, 1]].ravel()
    b = a["b"][0].reshape(2, 4 * hidden)[:, order]
    weights = (a["w"][0][order], a["r"][0][order], b[0], b[1])
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), weights, strict=True):
            parameter.copy_(value)

    def run() -> Any:
        with torch.no_grad():
            return net(x)

    return Twin(run, lambda found: [torch.cat([found[0], *found[1]])[:, None].numpy()])


def _linear_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    dy, x, weight = a["dy"], a["x"], a["weight"]
    return lambda: (dy @ weight, dy.t() @ x, dy.sum(0))


# ------------------------------------------------------------------------------ norm and dropout


def _batch_norm(torch: Any, a: Arguments) -> Twin:
    given = [a[name] for name in ("x", "weight", "bias", "running_mean", "running_var")]

    def read(result: Any) -> list[np.ndarray]:
        return arrays_of([*result, *given[3:]])

    return Twin(lambda: torch.native_batch_norm(*given, True, 0.1, 1e-5), read)


def _batch_norm_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    saved = (a["x"], a["weight"], None, None, a["mean"], a["inv_std"], True, 1e-5, [True] * 3)
    return lambda: torch.ops.aten.native_batch_norm_backward(a["dy"], *saved)


def _embedding_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    function, given = torch.ops.aten.embedding_dense_backward, (a["dy"], a["indices"])
    return lambda: function(*given, a["num_embeddings"], -1, False)


def _group_norm(torch: Any, a: Arguments) -> Callable[[], Any]:
    n, c, h, w = a["x"].shape
    function, given = torch.native_group_norm, (a["x"], a["weight"], a["bias"])
    return lambda: function(*given, n, c, h * w, a["num_groups"], 1e-5)


def _group_norm_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    n, c, h, w = a["x"].shape
    function, given = torch.ops.aten.native_group_norm_backward, [a["dy"], a["x"]]
    given += [a["mean"], a["inv_std"], a["weight"], n, c, h * w, a["num_groups"], [True] * 3]
    return lambda: function(*given)


def _layer_norm(torch: Any, a: Arguments) -> Twin:
    function, given = torch.native_layer_norm, (a["x"], [a["normalized_shape"]])
    vectors = a["weight"], a["bias"], 1e-5

    def read(result: Any) -> list[np.ndarray]:
        y, mean, inv_std = arrays_of(result)
        return [y, mean.ravel(), inv_std.ravel()]

    return Twin(lambda: function(*given, *vectors), read)


def _layer_norm_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    function, given = torch.ops.aten.native_layer_norm_backward, [a["dy"], a["x"]]
    given += [[a["normalized_shape"]], a["mean"][:, None], a["inv_std"][:, None], a["weight"]]
    return lambda: function(*given, a["weight"], [True] * 3)


def _local_response_norm_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    """No operator of its own: autograd through forward, which is part of the time."""
    leaf, function = a["x"].requires_grad_(), torch.nn.functional.local_response_norm

    def run() -> Any:
        return torch.autograd.grad(function(leaf, a["size"]), leaf, a["dy"])

    return run


def _multiply_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    """What autograd does: a product for each, and sums over the axes that were broadcast."""
    dy, x, y = a["dy"], a["x"], a["y"]
    return lambda: ((dy * y).sum_to_size(x.shape), (dy * x).sum_to_size(y.shape))


def _split(torch: Any, a: Arguments) -> Callable[[], Any]:
    """torch.split gives views: copied, as the backward that follows would have to."""
    x, sizes = a["x"], a["sizes"]
    return lambda: torch.split_with_sizes_copy(x, sizes, 1)


def _dropout_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    """autograd saves the scaled mask as floats; here it is cnnx's mask."""
    ones = np.ones(a["dy"].shape, a["dy"].numpy().dtype)
    mask = torch.tensor(ops.dropout(ones, a["p"], a["seed"], a["call"]))
    return lambda: a["dy"] * mask


# ----------------------------------------------------------------------- losses and optimisers


def _loss(name: str) -> Make:
    """Loss and gradient: forward, and autograd's backward."""

    def make(torch: Any, a: Arguments) -> Callable[[], Any]:
        leaf = next(a[name] for name in ("logits", "pred", "log_p") if name in a).requires_grad_()
        function, target = getattr(torch.nn.functional, name), a["target"]

        def run() -> Any:
            loss = function(leaf, target)
            (gradient,) = torch.autograd.grad(loss, leaf)
            return loss.item(), gradient

        return run

    return make


def _focal(loss: str) -> Make:
    """The usual way to write it: from the cross-entropies."""

    def make(torch: Any, a: Arguments) -> Callable[[], Any]:
        leaf, function = a["logits"].requires_grad_(), getattr(torch.nn.functional, loss)

        def run() -> Any:
            each = function(leaf, a["target"], reduction="none")
            mean = ((1 - torch.exp(-each)) ** 2 * each).mean()
            (gradient,) = torch.autograd.grad(mean, leaf)
            return mean.item(), gradient

        return run

    return make


def _step(name: str, state: tuple[str, ...], **options: Any) -> Make:
    """A step of all parameters. Its state starts empty, as that of the task does."""

    def make(torch: Any, a: Arguments) -> Twin:
        params = [torch.nn.Parameter(param) for param in a["params"]]
        for param, grad in zip(params, a["grads"]):
            param.grad = grad
        known = {name: a[name] for name in ("lr", "momentum", "weight_decay") if name in a}
        method = "AdamW" if a.get("decoupled") else name
        optimizer = getattr(torch.optim, method)(params, **known, **options)

        def read(result: Any) -> list[np.ndarray]:
            known = (torch.cat([optimizer.state[p][name] for p in params]) for name in state)
            return arrays_of([*params, *known])

        return Twin(optimizer.step, read)

    return make


def _ema(torch: Any, a: Arguments) -> Twin:
    def run() -> None:
        torch._foreach_lerp_(a["averages"], a["values"], 1 - a["decay"])

    return Twin(run, lambda _: arrays_of(a["averages"]))


# ---------------------------------------------------------------------------------------- models

_MODULES: dict[str, Callable[[Any, Any], Any]] = {
    "Conv2D": lambda nn, m: nn.Conv2d(
        m.in_channels,
        m.out_channels,
        m.kernel_size,
        m.stride,
        m.padding,
        m.dilation,
        m.groups,
        m.bias is not None,
    ),
    "ConvTranspose2D": lambda nn, m: nn.ConvTranspose2d(
        m.in_channels,
        m.out_channels,
        m.kernel_size,
        m.stride,
        m.padding,
        m.output_padding,
        m.groups,
        m.bias is not None,
        m.dilation,
    ),
    "Linear": lambda nn, m: nn.Linear(m.in_features, m.out_features, m.bias is not None),
    "BatchNorm2D": lambda nn, m: nn.BatchNorm2d(m.num_features, m.eps, m.momentum),
    "MaxPool2D": lambda nn, m: nn.MaxPool2d(
        m.kernel_size, m.stride, m.padding, m.dilation, ceil_mode=m.ceil_mode
    ),
    "AvgPool2D": lambda nn, m: nn.AvgPool2d(
        m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override
    ),
    "AdaptiveAvgPool2D": lambda nn, m: nn.AdaptiveAvgPool2d(m.output_size),
    "GlobalAvgPool2D": lambda nn, m: nn.AdaptiveAvgPool2d(1),
    "Upsample": lambda nn, m: nn.Upsample(m.size, m.scale_factor, m.mode, m.align_corners),
    "ZeroPad2D": lambda nn, m: nn.ZeroPad2d(m.padding),
    "Flatten": lambda nn, m: nn.Flatten(),
    "Identity": lambda nn, m: nn.Identity(),
    "Dropout": lambda nn, m: nn.Dropout(m.p),
}

# Layers of several inputs: functions of these.
_MERGES: dict[str, Callable[[Any, Any], Callable[..., Any]]] = {
    "Add": lambda torch, m: lambda *xs: sum(xs[1:], xs[0]),
    "Multiply": lambda torch, m: torch.mul,
    "Concat": lambda torch, m: lambda *xs: torch.cat(xs, m.axis),
}


def module(torch: Any, model: layers.Layer, channels_last: bool = False) -> Any:
    """The same network with the same weights in torch.nn, in one of its two memory formats.

    None if it has a layer without a twin.
    """
    try:
        net = _converted(torch, model)
    except KeyError:
        return None
    state = {name: torch.tensor(value) for name, value in model.state_dict().items()}
    net.to(getattr(torch, next(iter(model.parameters())).dtype.name)).load_state_dict(state)
    if channels_last:
        net.to(memory_format=torch.channels_last)
    return net.train(model.training)


def _converted(torch: Any, layer: layers.Layer) -> Any:
    """A module of torch.nn with the names of the layer's parts; KeyError if there is none."""
    if type(layer) is layers.Sequential:
        parts = ((name, _converted(torch, part)) for name, part in layer.children())
        return torch.nn.Sequential(OrderedDict(parts))
    if isinstance(layer, Container) and layer.opens():
        return _wired(torch, layer)
    if type(layer).__name__ in _MERGES:
        return _merge(torch, _MERGES[type(layer).__name__](torch, layer))
    if isinstance(layer, layers.activation.Elementwise) and hasattr(torch.nn, type(layer).__name__):
        return getattr(torch.nn, type(layer).__name__)(**layer.config())
    return _MODULES[type(layer).__name__](torch.nn, layer)


def _wired(torch: Any, container: Container) -> Any:
    wiring = container.wiring()
    parts = dict(container.children())  # first: their order is that of the parameters
    parts.update({node.name: node.layer for node in wiring.nodes})

    class Wired(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, part in parts.items():
                self.add_module(name, _converted(torch, part))

        def forward(self, *values: Any) -> Any:
            known = list(values)
            for name, _, inputs, _ in wiring.nodes:
                known.append(self._modules[name](*(known[i] for i in inputs)))
            return known[wiring.outputs[0]]

    return Wired()


def _merge(torch: Any, call: Callable[..., Any]) -> Any:
    class Merge(torch.nn.Module):
        def forward(self, *xs: Any) -> Any:
            return call(*xs)

    return Merge()


def _train(torch: Any, a: Arguments, zero_grad: bool = True) -> Twin | None:
    net = module(torch, a["model"], a["x"].stride(1) == 1)
    if net is None:
        return None
    optimizer = torch.optim.Adam(net.parameters(), lr=a["optimizer"].lr)
    cross_entropy = torch.nn.functional.cross_entropy

    def run() -> float:
        if zero_grad:
            optimizer.zero_grad()
        loss = cross_entropy(net(a["x"]), a["y"])
        loss.backward()
        optimizer.step()
        return loss.item()

    def read(result: float) -> list[np.ndarray]:
        return arrays_of([result, *(p.grad for p in net.parameters())])

    return Twin(run, read)


def _predict(torch: Any, a: Arguments) -> Callable[[], Any] | None:
    net = module(torch, a["model"], a["x"].stride(1) == 1)

    def run() -> Any:
        with torch.inference_mode():
            return net(a["x"])

    return None if net is None else run


def _call(path: str, *keys: str, more: tuple[Any, ...] = ()) -> Make:
    """A call of torch.<path> with the arguments of these names."""

    def make(torch: Any, a: Arguments) -> Callable[[], Any]:
        function, given = attrgetter(path)(torch), [a[key] for key in keys]
        return lambda: function(*given, *more)

    return make


def _elu_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    function, dy, x = torch.ops.aten.elu_backward, a["dy"], a["x"]
    return lambda: function(dy, 1.0, 1.0, 1.0, False, x)


def _prelu_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    """PyTorch's gradient of the slopes has the shape of x: summed, as in autograd."""
    function, dy, x = torch.ops.aten._prelu_kernel_backward, a["dy"], a["x"]
    weight = a["weight"].view(1, -1, *[1] * (x.ndim - 2))

    def run() -> Any:
        dx, dweight = function(dy, x, weight)
        return dx, dweight.sum([axis for axis in range(x.ndim) if axis != 1])

    return run


def _hardsigmoid_backward(torch: Any, a: Arguments) -> Callable[[], Any]:
    """PyTorch's backward takes x: here one that gives this y."""
    function, dy, x = torch.ops.aten.hardsigmoid_backward, a["dy"], 6 * a["y"] - 3
    return lambda: function(dy, x)


def _softmax_backward(name: str) -> Make:
    def make(torch: Any, a: Arguments) -> Callable[[], Any]:
        function, dy, y = getattr(torch.ops.aten, name), a["dy"], a["y"]
        return lambda: function(dy, y, 1, y.dtype)

    return make


TWINS: dict[str, Make] = {
    "conv2d": _conv2d,
    "conv2d_backward": _conv2d_backward,
    "conv_transpose2d": _conv_transpose2d,
    "conv_transpose2d_backward": _conv_transpose2d_backward,
    "im2col": _im2col,
    "col2im": _col2im,
    "max_pool2d": _max_pool2d,
    "max_pool2d_backward": _max_pool2d_backward,
    "relu_max_pool2d": _relu_max_pool2d,
    "relu_max_pool2d_backward": _relu_max_pool2d_backward,
    "avg_pool2d": _avg_pool2d,
    "avg_pool2d_backward": _avg_pool2d_backward,
    "global_avg_pool2d": _call("mean", "x", more=([2, 3], True)),
    "global_avg_pool2d_backward": _global_avg_pool2d_backward,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "adaptive_avg_pool2d_backward": _adaptive_avg_pool2d_backward,
    "interpolate": _interpolate,
    "interpolate_backward": _interpolate_backward,
    "zero_pad2d": _zero_pad2d,
    "pad": _pad,
    "reduce": _reduce,
    "unary": _call("exp", "x"),
    "binary": _call("sub", "x", "y"),
    "lstm": _lstm,
    "linear": _call("nn.functional.linear", "x", "weight", "bias"),
    "linear_backward": _linear_backward,
    "batch_norm": _batch_norm,
    "batch_norm_backward": _batch_norm_backward,
    "embedding": _call("nn.functional.embedding", "indices", "weight"),
    "embedding_backward": _embedding_backward,
    "group_norm": _group_norm,
    "group_norm_backward": _group_norm_backward,
    "layer_norm": _layer_norm,
    "layer_norm_backward": _layer_norm_backward,
    "local_response_norm": _call("nn.functional.local_response_norm", "x", "size"),
    "local_response_norm_backward": _local_response_norm_backward,
    "relu": _call("relu", "x"),
    "relu_backward": _call("ops.aten.threshold_backward", "dy", "y", more=(0,)),
    "relu6": _call("nn.functional.relu6", "x"),
    "relu6_backward": _call("ops.aten.hardtanh_backward", "dy", "y", more=(0, 6)),
    "hardsigmoid": _call("nn.functional.hardsigmoid", "x"),
    "hardsigmoid_backward": _hardsigmoid_backward,
    "hardswish": _call("nn.functional.hardswish", "x"),
    "hardswish_backward": _call("ops.aten.hardswish_backward", "dy", "x"),
    "leaky_relu": _call("nn.functional.leaky_relu", "x", more=(0.01,)),
    "leaky_relu_backward": _call("ops.aten.leaky_relu_backward", "dy", "x", more=(0.01, False)),
    "elu": _call("nn.functional.elu", "x"),
    "elu_backward": _elu_backward,
    "gelu": _call("nn.functional.gelu", "x"),
    "gelu_backward": _call("ops.aten.gelu_backward", "dy", "x"),
    "silu": _call("nn.functional.silu", "x"),
    "silu_backward": _call("ops.aten.silu_backward", "dy", "x"),
    "softplus": _call("nn.functional.softplus", "x"),
    "softplus_backward": _call("ops.aten.softplus_backward", "dy", "x", more=(1.0, 20.0)),
    "mish": _call("nn.functional.mish", "x"),
    "mish_backward": _call("ops.aten.mish_backward", "dy", "x"),
    "prelu": _call("nn.functional.prelu", "x", "weight"),
    "prelu_backward": _prelu_backward,
    "add": _call("add", "x", "y"),
    "multiply": _call("mul", "x", "y"),
    "multiply_backward": _multiply_backward,
    "concat": _call("cat", "arrays", more=(1,)),
    "split": _split,
    "sigmoid": _call("sigmoid", "x"),
    "sigmoid_backward": _call("ops.aten.sigmoid_backward", "dy", "y"),
    "tanh": _call("tanh", "x"),
    "tanh_backward": _call("ops.aten.tanh_backward", "dy", "y"),
    "softmax": _call("softmax", "x", more=(1,)),
    "softmax_backward": _softmax_backward("_softmax_backward_data"),
    "log_softmax": _call("log_softmax", "x", more=(1,)),
    "log_softmax_backward": _softmax_backward("_log_softmax_backward_data"),
    "dropout": _call("nn.functional.dropout", "x", "p", more=(True,)),
    "dropout_backward": _dropout_backward,
    "cross_entropy": _loss("cross_entropy"),
    "mse": _loss("mse_loss"),
    "bce": _loss("binary_cross_entropy"),
    "focal": _focal("cross_entropy"),
    "binary_focal": _focal("binary_cross_entropy_with_logits"),
    "l1": _loss("l1_loss"),
    "huber": _loss("huber_loss"),
    "smooth_l1": _loss("smooth_l1_loss"),
    "nll": _loss("nll_loss"),
    "bce_with_logits": _loss("binary_cross_entropy_with_logits"),
    "sgd_step": _step("SGD", ("momentum_buffer",), fused=True),
    "rmsprop_step": _step("RMSprop", ("square_avg",)),
    "adagrad_step": _step("Adagrad", ("sum",), fused=True),
    "adam_step": _step("Adam", ("exp_avg", "exp_avg_sq"), fused=True),
    "nadam_step": _step("NAdam", ("exp_avg", "exp_avg_sq")),
    "ema_step": _ema,
    "train": _train,
    "accumulate": partial(_train, zero_grad=False),
    "predict": _predict,
}
