"""Generates the golden files next to it with PyTorch: inputs, outputs and gradients in float64.

    python tests/golden/make_golden.py [folder]

Requires torch, 2.13.0 for the existing files. Each file contains several configurations:
"name/options" is JSON, the rest are arrays named as in cnnx.ops. lenet.npz contains the losses of a
whole training, whose weights and batches are generated from integers by `lenet_weights` and
`lenet_batch`, so that the result does not depend on any library's random stream. The tests use
these two functions too, so torch is imported only inside functions that need it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
TORCH = "2.13.0"
STEPS_FLOAT64, STEPS_FLOAT32 = 100, 20
BATCH = 16
LENET = {
    "0": (6, 1, 5, 5),
    "3": (16, 6, 5, 5),
    "7": (120, 400),
    "9": (84, 120),
    "11": (10, 84),
}


def numbers(stream: int, *shape: int) -> np.ndarray:
    """Float64 numbers in [-1, 1) from integers only: a 32-bit hash of index and stream."""
    z = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(stream * 1_000_003)
    mask = np.uint64(2**32 - 1)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        z = ((z ^ (z >> np.uint64(shift))) * np.uint64(factor)) & mask
    z ^= z >> np.uint64(16)
    return (z.astype(np.float64) / 2**31 - 1).reshape(shape)


def lenet_weights(dtype: type) -> dict[str, np.ndarray]:
    """Weights of LeNet-5 by their names in a state dict."""
    weights = {}
    for stream, (layer, shape) in enumerate(LENET.items()):
        bound = 1 / np.sqrt(np.prod(shape[1:]))
        weights[f"{layer}.weight"] = (bound * numbers(10 + stream, *shape)).astype(dtype)
        weights[f"{layer}.bias"] = (bound * numbers(30 + stream, shape[0])).astype(dtype)
    return weights


def lenet_batch(step: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Images of ten noisy patterns, and their labels."""
    labels = ((numbers(1000 + step, BATCH) + 1) * 5).astype(np.int64)
    patterns = numbers(2000, 10, 1, 28, 28)
    noise = numbers(3000 + step, BATCH, 1, 28, 28)
    return (patterns[labels] + noise / 2).astype(dtype), labels


class Configurations:
    """Collects arrays and options under the name of a configuration."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.stream = 0

    def draw(self, *shape: int) -> np.ndarray:
        self.stream += 1
        return numbers(self.stream, *shape)

    def add(self, name: str, options: dict, **arrays) -> None:
        self.arrays[f"{name}/options"] = np.array(json.dumps(options))
        for key, value in arrays.items():
            if value is not None:
                value = value.detach().numpy() if hasattr(value, "detach") else value
                self.arrays[f"{name}/{key}"] = np.array(value)


def _leaf(array):
    import torch

    return torch.tensor(array, requires_grad=True)


def conv() -> dict[str, np.ndarray]:
    import torch

    made = Configurations()
    for name, x_shape, weight_shape, options in (
        ("plain", (2, 3, 6, 7), (4, 3, 3, 3), {}),
        ("padded", (1, 5, 7, 6), (7, 5, 3, 3), {"padding": 1}),
        ("same", (2, 2, 5, 6), (3, 2, 3, 5), {"padding": "same", "dilation": 2}),
        ("stride-dilation", (2, 2, 9, 10), (3, 2, 3, 2), {"stride": [2, 1], "dilation": [1, 3]}),
        ("groups", (2, 6, 5, 5), (9, 2, 3, 3), {"groups": 3, "padding": [2, 0], "stride": 2}),
        ("depthwise", (2, 5, 6, 7), (5, 1, 3, 3), {"groups": 5, "padding": 1}),
    ):
        x, weight = _leaf(made.draw(*x_shape)), _leaf(made.draw(*weight_shape))
        bias = _leaf(made.draw(weight_shape[0]))
        y = torch.nn.functional.conv2d(x, weight, bias, **options)
        dy = torch.tensor(made.draw(*y.shape))
        y.backward(dy)
        gradients = {"dx": x.grad, "dweight": weight.grad, "dbias": bias.grad}
        made.add(name, options, x=x, weight=weight, bias=bias, y=y, dy=dy, **gradients)
    return made.arrays


def pool() -> dict[str, np.ndarray]:
    import torch

    made = Configurations()
    for kind in ("max_pool2d", "avg_pool2d"):
        for name, shape, options in (
            ("plain", (2, 3, 6, 8), {"kernel_size": 2}),
            ("overlapping", (2, 2, 7, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
            ("rectangular", (1, 2, 7, 9), {"kernel_size": [3, 2], "stride": [1, 3]}),
            ("ceil", (2, 2, 6, 7), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
            (
                "ceil-padded",
                (1, 2, 6, 8),
                {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
            ),
            (
                "ceil-padding-not-counted",
                (1, 2, 6, 8),
                {
                    "kernel_size": 3,
                    "stride": 2,
                    "padding": 1,
                    "ceil_mode": True,
                    "count_include_pad": False,
                },
            ),
        ):
            if kind == "max_pool2d" and "count_include_pad" in options:
                continue
            x = _leaf(made.draw(*shape))
            y = getattr(torch.nn.functional, kind)(x, **options)
            dy = torch.tensor(made.draw(*y.shape))
            y.backward(dy)
            made.add(f"{kind}-{name}", options, x=x, y=y, dy=dy, dx=x.grad)
    return made.arrays


def norm() -> dict[str, np.ndarray]:
    import torch

    made = Configurations()
    for name, shape, options in (
        ("matrix", (6, 4), {"training": True}),
        ("images", (3, 4, 5, 6), {"training": True, "momentum": 0.3, "eps": 1e-3}),
        ("inference", (3, 4, 5), {"training": False}),
    ):
        x, c = _leaf(2 + made.draw(*shape)), shape[1]
        weight, bias = _leaf(1 + made.draw(c) / 2), _leaf(made.draw(c))
        mean, var = torch.tensor(made.draw(c)), torch.tensor(1.5 + made.draw(c))
        before = {"running_mean": mean.clone(), "running_var": var.clone()}
        y = torch.nn.functional.batch_norm(x, mean, var, weight, bias, **options)
        dy = torch.tensor(made.draw(*shape))
        y.backward(dy)
        gradients = {"dx": x.grad, "dweight": weight.grad, "dbias": bias.grad}
        after = {"new_running_mean": mean, "new_running_var": var}
        given = {"x": x, "weight": weight, "bias": bias, **before}
        made.add(name, options, **given, y=y, dy=dy, **gradients, **after)
    return made.arrays


def linear() -> dict[str, np.ndarray]:
    import torch

    made = Configurations()
    for name, lead in (("matrix", (5,)), ("vector", ()), ("series", (2, 3))):
        x, weight = _leaf(made.draw(*lead, 7)), _leaf(made.draw(4, 7))
        bias = _leaf(made.draw(4))
        y = torch.nn.functional.linear(x, weight, bias)
        dy = torch.tensor(made.draw(*y.shape))
        y.backward(dy)
        gradients = {"dx": x.grad, "dweight": weight.grad, "dbias": bias.grad}
        made.add(name, {}, x=x, weight=weight, bias=bias, y=y, dy=dy, **gradients)
    return made.arrays


def activation() -> dict[str, np.ndarray]:
    import torch

    made = Configurations()
    for name, options in (
        ("relu", {}),
        ("leaky_relu", {"negative_slope": 0.2}),
        ("sigmoid", {}),
        ("tanh", {}),
        ("softmax", {"axis": 1}),
        ("log_softmax", {"axis": -1}),
        ("relu6", {}),
    ):
        x = _leaf((9 if name == "relu6" else 3) * made.draw(2, 5, 3))
        named = {"dim" if key == "axis" else key: value for key, value in options.items()}
        functions = torch if name in ("sigmoid", "tanh") else torch.nn.functional
        y = getattr(functions, name)(x, **named)
        dy = torch.tensor(made.draw(2, 5, 3))
        y.backward(dy)
        made.add(name, options, x=x, y=y, dy=dy, dx=x.grad)
    return made.arrays


def loss() -> dict[str, np.ndarray]:
    import torch

    functional = torch.nn.functional
    made = Configurations()
    for name, shape, kind, options in (
        ("labels", (6, 5), "labels", {}),
        ("labels-sum", (6, 5), "labels", {"reduction": "sum"}),
        ("labels-smooth-weight", (6, 5), "weight", {"label_smoothing": 0.2}),
        ("labels-images", (2, 5, 3, 2), "labels", {"label_smoothing": 0.1}),
        ("probabilities", (6, 5), "probabilities", {}),
        ("probabilities-weight", (2, 4, 3), "weight-probabilities", {"label_smoothing": 0.1}),
    ):
        logits = _leaf(4 * made.draw(*shape))
        if "probabilities" in kind:
            target = 1 + made.draw(*shape)
            target /= target.sum(axis=1, keepdims=True)
        else:
            drawn = made.draw(shape[0], *shape[2:])
            target = ((drawn + 1) * shape[1] / 2).astype(np.int64)
        weight = 1.5 + made.draw(shape[1]) if "weight" in kind else None
        tensors = torch.tensor(target), None if weight is None else torch.tensor(weight)
        value = functional.cross_entropy(logits, *tensors, **options)
        value.backward()
        arrays = {"logits": logits, "target": target, "weight": weight}
        made.add(f"cross_entropy-{name}", options, **arrays, loss=value, dlogits=logits.grad)
    for op, function, first in (
        ("mse", functional.mse_loss, "pred"),
        ("bce", functional.binary_cross_entropy, "pred"),
        ("bce_with_logits", functional.binary_cross_entropy_with_logits, "logits"),
    ):
        for reduction in ("mean", "sum"):
            pred = _leaf((1 + 0.9 * made.draw(4, 3)) / 2 * (3 if first == "logits" else 1))
            target = (1 + made.draw(4, 3)) / 2
            value = function(pred, torch.tensor(target), reduction=reduction)
            value.backward()
            arrays = {first: pred, "target": target, "loss": value, f"d{first}": pred.grad}
            made.add(f"{op}-{reduction}", {"reduction": reduction}, **arrays)
    return made.arrays


def optim() -> dict[str, np.ndarray]:
    """Five steps with given gradients; `path` contains the parameter after each."""
    import torch

    made = Configurations()
    for name, optimizer, options in (
        ("sgd", "SGD", {"lr": 0.1, "weight_decay": 0.2}),
        ("sgd-momentum", "SGD", {"lr": 0.1, "momentum": 0.9}),
        (
            "sgd-nesterov",
            "SGD",
            {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        ),
        ("rmsprop", "RMSprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-6}),
        (
            "rmsprop-centered",
            "RMSprop",
            {"lr": 0.01, "centered": True, "momentum": 0.8, "weight_decay": 0.1},
        ),
        ("adagrad", "Adagrad", {"lr": 0.1, "weight_decay": 0.1}),
        ("adam", "Adam", {"lr": 0.01}),
        ("adam-decay", "Adam", {"lr": 0.01, "betas": [0.8, 0.99], "weight_decay": 0.1}),
    ):
        start, grads = made.draw(3, 4), made.draw(5, 3, 4)
        param = _leaf(start)
        stepper = getattr(torch.optim, optimizer)([param], **options)
        path = []
        for grad in grads:
            param.grad = torch.tensor(grad)
            stepper.step()
            path.append(param.detach().numpy().copy())
        made.add(name, options, param=start, grads=grads, path=np.stack(path))
    return made.arrays


def _lenet_losses(dtype: type, steps: int) -> np.ndarray:
    import torch
    from torch import nn

    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    weights = {name: torch.tensor(value) for name, value in lenet_weights(dtype).items()}
    model.to(next(iter(weights.values())).dtype).load_state_dict(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for step in range(steps):
        x, labels = (torch.tensor(a) for a in lenet_batch(step, dtype))
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(model(x), labels)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return np.array(losses)


def lenet() -> dict[str, np.ndarray]:
    return {
        "float64": _lenet_losses(np.float64, STEPS_FLOAT64),
        "float32": _lenet_losses(np.float32, STEPS_FLOAT32),
    }


FILES = {f.__name__: f for f in (conv, pool, norm, linear, activation, loss, optim, lenet)}


def main(folder: Path) -> None:
    import torch

    found = torch.__version__.split("+")[0]
    if folder == HERE and found != TORCH:
        sys.exit(f"make_golden: torch is {found}, but the files here are made with {TORCH}")
    torch.set_num_threads(1)
    for name, make in FILES.items():
        np.savez_compressed(folder / f"{name}.npz", **make())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
