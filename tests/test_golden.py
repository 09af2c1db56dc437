"""Ops and a whole training equal PyTorch's, from files made by tests/golden/make_golden.py.

The same comparison runs live if torch is installed, so that the files cannot become outdated.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tolerance

import cnnx
from cnnx import ops

GOLDEN = Path(__file__).parent / "golden"
BACKENDS = cnnx.available_backends()


def _load_recipe():
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make_golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recipe = _load_recipe()


@pytest.fixture(params=BACKENDS, autouse=True)
def backend(request):
    with cnnx.use_backend(request.param):
        yield request.param


@functools.cache
def _configurations(folder, name):
    """{configuration: (options, arrays)} of a golden file."""
    found: dict[str, tuple[dict, dict]] = {}
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        for key in file.files:
            configuration, array = key.split("/")
            options, arrays = found.setdefault(configuration, ({}, {}))
            if array == "options":
                options.update(json.loads(file[key].item()))
            else:
                arrays[array] = file[key]
    return found


def _assert_close(actual, expected, what):
    """Float64 against float64 over at most some hundred terms; values are near one."""
    scale = max(1.0, float(np.abs(expected).max()))
    tolerance.assert_close(actual, expected, scale * tolerance.tolerance(np.float64, 1000), what)


def _check_convolutions(folder):
    for name, (options, a) in _configurations(folder, "conv").items():
        _assert_close(ops.conv2d(a["x"], a["weight"], a["bias"], **options), a["y"], name)
        gradients = ops.conv2d_backward(a["dy"], a["x"], a["weight"], **options)
        for key, gradient in zip(("dx", "dweight", "dbias"), gradients, strict=True):
            _assert_close(gradient, a[key], f"{name} {key}")


def _check_pools(folder):
    for name, (options, a) in _configurations(folder, "pool").items():
        if name.startswith("max"):
            y, argmax = ops.max_pool2d(a["x"], **options)
            dx = ops.max_pool2d_backward(a["dy"], argmax, a["x"].shape, **options)
        else:
            y = ops.avg_pool2d(a["x"], **options)
            dx = ops.avg_pool2d_backward(a["dy"], a["x"].shape, **options)
        _assert_close(y, a["y"], name)
        _assert_close(dx, a["dx"], f"{name} dx")


def _check_norms(folder):
    for name, (options, a) in _configurations(folder, "norm").items():
        running = {key: a[key].copy() for key in ("running_mean", "running_var")}
        y, mean, inv_std = ops.batch_norm(a["x"], a["weight"], a["bias"], **running, **options)
        _assert_close(y, a["y"], name)
        saved = (a["weight"], mean, inv_std, options["training"])
        gradients = ops.batch_norm_backward(a["dy"], a["x"], *saved)
        for key, gradient in zip(("dx", "dweight", "dbias"), gradients, strict=True):
            _assert_close(gradient, a[key], f"{name} {key}")
        for key, value in running.items():
            _assert_close(value, a[f"new_{key}"], f"{name} {key}")


def _check_linear(folder):
    for name, (_, a) in _configurations(folder, "linear").items():
        _assert_close(ops.linear(a["x"], a["weight"], a["bias"]), a["y"], name)
        gradients = ops.linear_backward(a["dy"], a["x"], a["weight"])
        for key, gradient in zip(("dx", "dweight", "dbias"), gradients, strict=True):
            _assert_close(gradient, a[key], f"{name} {key}")


def _check_activations(folder):
    for name, (options, a) in _configurations(folder, "activation").items():
        y = getattr(ops, name)(a["x"], **options)
        _assert_close(y, a["y"], name)
        saved = a["x"] if name == "leaky_relu" else y
        dx = getattr(ops, f"{name}_backward")(a["dy"], saved, **options)
        _assert_close(dx, a["dx"], f"{name} dx")


def _check_losses(folder):
    for name, (options, a) in _configurations(folder, "loss").items():
        op = name.split("-")[0]
        first = "pred" if op in ("mse", "bce") else "logits"
        weight = {"weight": a["weight"]} if "weight" in a else {}
        loss, gradient = getattr(ops, op)(a[first], a["target"], **weight, **options)
        _assert_close(loss, a["loss"], name)
        _assert_close(gradient, a[f"d{first}"], f"{name} gradient")


def _stepper(name, options, shape):
    """A function (params, grads, step number) that takes a step of the named optimiser."""
    options = dict(options)
    state = [np.zeros(math.prod(shape)) for _ in range(3)]
    if name.startswith("sgd"):
        velocity = state[0] if "momentum" in options else None
        return lambda p, g, t: ops.sgd_step(p, g, velocity, **options)
    if name.startswith("rmsprop"):
        average = state[1] if options.pop("centered", False) else None
        velocity = state[2] if "momentum" in options else None
        return lambda p, g, t: ops.rmsprop_step(p, g, state[0], average, velocity, **options)
    if name.startswith("adagrad"):
        return lambda p, g, t: ops.adagrad_step(p, g, state[0], **options)
    beta1, beta2 = options.get("betas", (0.9, 0.999))
    rest = (options["lr"], beta1, beta2, 1e-8, options.get("weight_decay", 0.0))
    return lambda p, g, t: ops.adam_step(p, g, state[0], state[1], *rest, t)


def _check_optimisers(folder):
    for name, (options, a) in _configurations(folder, "optim").items():
        param = a["param"].copy()
        step = _stepper(name, options, param.shape)
        for number, grad in enumerate(a["grads"], 1):
            step([param], [grad], number)
            _assert_close(param, a["path"][number - 1], f"{name}, step {number}")


@functools.cache
def _train_lenet(backend, dtype, steps):
    """Losses of each step; the same for the files and for the live comparison."""
    assert cnnx.get_backend() == backend
    model = cnnx.models.lenet5().astype(dtype)
    model.load_state_dict(recipe.lenet_weights(dtype))
    optimizer = cnnx.Adam(model.parameters(), lr=1e-3)
    loss_fn = cnnx.CrossEntropyLoss()
    losses = []
    for step in range(steps):
        x, labels = recipe.lenet_batch(step, dtype)
        optimizer.zero_grad()
        losses.append(loss_fn(model(x), labels))
        model.backward(loss_fn.backward(), need_dx=False)
        optimizer.step()
    return np.array(losses)


def _check_lenet(folder):
    with np.load(folder / "lenet.npz", allow_pickle=False) as file:
        for dtype, bound in ((np.float64, 1e-8), (np.float32, 1e-5)):
            expected = file[np.dtype(dtype).name]
            losses = _train_lenet(cnnx.get_backend(), dtype, len(expected))
            error = np.abs(losses - expected)
            assert error.max() <= bound, f"step {error.argmax()}: loss is off by {error.max():.2g}"


CHECKS = {
    "conv": _check_convolutions,
    "pool": _check_pools,
    "norm": _check_norms,
    "linear": _check_linear,
    "activation": _check_activations,
    "loss": _check_losses,
    "optim": _check_optimisers,
    "lenet": _check_lenet,
}


@pytest.mark.parametrize("name", CHECKS)
def test_results_equal_the_golden_files_of_pytorch(name):
    CHECKS[name](GOLDEN)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """The golden files as generated by the installed torch, in a separate process."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    folder = tmp_path_factory.mktemp("live")
    command = [sys.executable, str(GOLDEN / "make_golden.py"), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", CHECKS)
def test_results_equal_those_of_pytorch_itself(name, live):
    CHECKS[name](live)


def test_there_is_a_golden_file_for_every_check_and_none_is_large():
    assert set(CHECKS) == set(recipe.FILES) == {path.stem for path in GOLDEN.glob("*.npz")}
    assert all(path.stat().st_size < 100_000 for path in GOLDEN.glob("*.npz"))
