"""Benchmarks measure what they claim: workloads, and their twins in other libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cases
import numpy as np
import pytest

import cnnx
from cnnx.backends import OP_NAMES
from cnnx.bench import (
    LAYERS,
    MODELS,
    OPS,
    peers,
    run,
)
from cnnx.bench.sizes import Windows
from cnnx.bench.workloads import all_workloads

SMALL = {workload.name: workload.reduced() for workload in all_workloads()}


# --------------------------------------------------------------------------------- the workloads


def test_the_documents_state_how_many_convolutions_are_measured():
    root = Path(__file__).resolve().parents[1]
    performance, convolutions = (
        " ".join((root / name).read_text(encoding="utf-8").split())
        for name in ("docs/performance.md", "docs/convolutions.md")
    )
    layers = len(LAYERS["forward"])
    assert f"{layers} convolutions one by one" in performance
    assert convolutions.count("| conv2d ") == layers and f"{layers} convolutions" in convolutions


def prepared(name, dtype=np.float64):
    return SMALL[name].prepare(np.random.default_rng(0), dtype)


def arrays(name, backend):
    task = prepared(name)
    if task.op in ("train", "predict"):
        cnnx.manual_seed(1)  # the same dropout
    with cnnx.use_backend(backend):
        return task.arrays(task.run())


def test_every_op_has_workloads_and_every_model_a_training_step():
    assert set(OPS) == set(OP_NAMES)
    large = {"resnet50", "vgg11"}  # for ImageNet: steps of seconds and GB
    assert set(MODELS) | large == set(cnnx.models.names())
    for rows in MODELS.values():
        assert {"train", "predict"} == {row.op for row in rows}


def test_names_are_unique():
    names = [workload.name for workload in all_workloads()]
    assert len(set(names)) == len(names)
    assert "conv2d 64,16,14,14->32 3x3" in names


@pytest.mark.parametrize("name", SMALL)
def test_a_workload_computes_the_same_on_every_backend(name):
    expected = arrays(name, "reference")
    assert expected and all(np.isfinite(array).all() for array in expected)
    for backend in set(cnnx.available_backends()) - {"reference"}:
        for actual, wanted in zip(arrays(name, backend), expected, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", SMALL)
def test_a_workload_takes_float32_and_can_run_again_and_again(name):
    task = prepared(name, np.float32)
    for _ in range(3):
        result = task.run()
    assert all(np.isfinite(array).all() for array in task.arrays(result))
    floats = [a for a in cases.arrays(task.arguments).values() if a.dtype.kind == "f"]
    assert all(array.dtype == np.float32 for array in floats)


def test_a_reduced_workload_is_small():
    for name, workload in SMALL.items():
        given = cases.arrays(prepared(name).arguments).values()
        assert sum(array.size for array in given) < 20_000, workload.name


def test_flops_of_matrix_products_count_every_multiplication():
    """With ones everywhere, an output is the number of products in its sum."""
    for workload in map(Windows.small, (row.size for row in OPS["conv2d"])):
        x = np.ones((workload.n, workload.c, workload.h, workload.w))
        weight = np.ones((workload.oc, workload.c // workload.groups, workload.k, workload.k))
        options = {**workload.options(), "groups": workload.groups}
        products = cnnx.ops.conv2d(x, weight, **options).sum()
        assert products <= workload.macs  # products with padding zeros count too
        assert workload.padding or products == workload.macs
    assert OPS["linear"][0].flops == 2 * 256 * 4096 * 1000
    assert OPS["linear_backward"][0].flops == 4 * 256 * 4096 * 1000


def test_flops_of_a_training_step_are_three_forwards():
    macs = cnnx.models.lenet5().summary((1, 28, 28)).macs
    train, half, *predict = MODELS["lenet5"]
    assert train.flops == 2 * half.flops == 3 * 2 * 64 * macs
    assert [row.flops for row in predict] == [2 * macs, 2 * 32 * macs]


@pytest.mark.parametrize(
    "name, arrays_moved",
    [("relu", 2), ("relu_backward", 3), ("adam_step", 7), ("sgd_step", 5), ("mse", 3)],
)
def test_bytes_are_every_array_in_and_out_once(name, arrays_moved):
    workload = OPS[name][0].reduced()
    task = workload.prepare(np.random.default_rng(0), np.float32)
    moved = task.bytes(task.run())
    scalar = 8 if name == "mse" else 0
    assert moved == arrays_moved * 4 * workload.size.elements + scalar


def test_argmax_counts_as_one_byte_per_window():
    workload = OPS["max_pool2d"][0].reduced()
    task = workload.prepare(np.random.default_rng(0), np.float32)
    y, argmax = result = task.run()
    assert task.bytes(result) == 4 * (task.arguments["x"].size + y.size) + argmax.size


def test_a_measured_training_step_barely_changes_the_weights():
    task = prepared("train lenet5 batch 64", np.float32)
    before = task.arguments["model"].state_dict()
    losses = [task.run() for _ in range(20)]
    assert losses == pytest.approx([losses[0]] * 20, rel=1e-4)
    for name, value in task.arguments["model"].state_dict().items():
        np.testing.assert_allclose(value, before[name], atol=1e-6)


# ------------------------------------------------------------------------------------- the peers


@pytest.fixture(params=peers.CONTESTANTS["torch"])
def layout(request, torch):
    return peers.Torch(request.param)


def without_dropout(task):
    """Dropout masks differ between libraries: compare the rest of the network."""
    for layer in task.arguments["model"].modules():
        if isinstance(layer, cnnx.Dropout):
            layer.p = 0.0


@pytest.mark.parametrize("name", [name for name in SMALL if not name.startswith("dropout ")])
def test_the_twin_of_a_workload_computes_the_same(name, layout):
    task = prepared(name)
    if "model" in task.arguments:
        without_dropout(task)
    twin = layout.twin(task)
    if twin is None:
        assert layout.name != "torch"
        assert all(array.ndim < 4 for array in cases.arrays(task.arguments).values())
        return
    actual, expected = twin.read(twin.run()), task.arrays(task.run())
    for theirs, ours in zip(actual, expected, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-7, atol=1e-10)


def test_images_and_weights_of_the_second_layout_are_channels_last(torch):
    channels_last = peers.Torch("torch channels_last")
    seen = []
    hook = torch._torch.nn.modules.module.register_module_forward_hook(
        lambda module, given, result: seen.append((type(module).__name__, given[0], result))
    )
    with hook:
        channels_last.twin(prepared("predict resnet20 batch 32")).run()
    images = [t for name, x, y in seen for t in (x, y) if name == "Conv2d"]
    assert len(images) == 2 * 21
    assert all(t.is_contiguous(memory_format=torch._torch.channels_last) for t in images)


def test_the_twin_of_dropout_drops_the_same_fraction(torch):
    task = OPS["dropout"][1].prepare(np.random.default_rng(0))
    twin = torch.twin(task)
    for y in (*twin.read(twin.run()), task.run()):
        assert np.mean(y == 0) == pytest.approx(0.5, abs=0.01)
        np.testing.assert_allclose(y[y != 0], 2 * task.arguments["x"][y != 0])


def test_a_twin_does_not_change_the_arrays_of_the_task(torch):
    task = prepared(OPS["adam_step"][1].name)
    before = task.arguments["params"][0].copy()
    torch.twin(task).run()
    np.testing.assert_array_equal(task.arguments["params"][0], before)


def test_a_model_with_a_layer_missing_in_torch_has_no_twin(torch):
    task = prepared("predict lenet5 batch 1")

    class Own(cnnx.Layer):
        def forward(self, x):
            return x

    task.arguments["model"].append(Own())
    assert torch.twin(task) is None


def test_an_op_without_a_twin_returns_none(torch, monkeypatch):
    monkeypatch.delitem(peers.TWINS, "relu")
    assert torch.twin(prepared("relu 64,64,32,32")) is None


def test_the_thread_count_of_a_peer_is_restored(torch):
    before = torch._torch.get_num_threads()
    with torch.threads(3):
        assert torch._torch.get_num_threads() == 3
    assert torch._torch.get_num_threads() == before


def test_a_peer_that_is_missing_is_an_error_with_the_command_to_install_it(monkeypatch):
    monkeypatch.setattr(peers, "available", tuple)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[peers\]'"):
        run("ops", peers=["torch"], filter="relu")


def test_an_unknown_peer_is_an_error():
    with pytest.raises(ValueError, match=r"'abacus' is not known, expected one of torch"):
        run("ops", peers=["abacus"], filter="relu")


def test_importing_the_benchmarks_imports_no_peer():
    code = (
        "import sys, cnnx.bench; print('torch' in sys.modules, 'cnnx.bench.table' in sys.modules)"
    )
    root = cnnx.__file__.rpartition("cnnx")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr
