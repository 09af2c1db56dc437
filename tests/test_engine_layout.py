"""The layout of values in a plan: regions channels last, and the copies at their borders."""

from __future__ import annotations

import numpy as np
import pytest
from engine_helpers import assert_close, compiled_only, drawn, trained

import cnnx
from cnnx import BatchNorm2D, Conv2D, Flatten, Linear, ReLU, ReLU6, Sequential, Sigmoid
from cnnx.engine.groups import one_group
from cnnx.onnx.layers import Binary

pytestmark = compiled_only

COPIES = ("channels last", "planes")


def computed(plan, batch=None):
    """How the steps are computed."""
    program = one_group(plan._described(batch))
    return [entry.kind for entry in program.entries]


def pointwise(channels=64, filters=64):
    return Sequential(Conv2D(channels, filters, 1), BatchNorm2D(filters), ReLU())


def inverted(channels):
    """MobileNetV2's block."""
    wide = 4 * channels
    body = Sequential(
        *(Conv2D(channels, wide, 1), BatchNorm2D(wide), ReLU6()),
        *(Conv2D(wide, wide, 3, padding=1, groups=wide), BatchNorm2D(wide), ReLU6()),
        *(Conv2D(wide, channels, 1), BatchNorm2D(channels)),
    )
    return cnnx.Residual(body)


def gated(channels):
    """A block with a gate, as in squeeze-and-excitation."""
    x = cnnx.Input((channels, 14, 14))
    h = cnnx.Hardswish()(Conv2D(channels, channels, 1)(x))
    small = Conv2D(channels, 8, 1)(cnnx.GlobalAvgPool2D()(h))
    gate = Sigmoid()(Conv2D(8, channels, 1)(ReLU()(small)))
    return cnnx.Graph(x, Conv2D(channels, channels, 1)(h * gate) + x)


def two_ways(channels=64):
    """A value that a region and a step on planes read, and that is an output as well."""
    x = cnnx.Input((channels, 14, 14))
    h = pointwise()(pointwise()(pointwise()(x)))
    ends = cnnx.Upsample(2)(h), pointwise()(pointwise()(pointwise()(h))), h
    return cnnx.Graph(x, ends)


MODELS = {
    "pointwise": lambda: Sequential(*[pointwise() for _ in range(4)]),
    "inverted": lambda: Sequential(*[inverted(64) for _ in range(3)]),
    "gated": lambda: Sequential(*[gated(64) for _ in range(3)]),
    "head": lambda: Sequential(*[pointwise() for _ in range(4)], Flatten(), Linear(64 * 196, 5)),
    "pooled": lambda: Sequential(
        *[pointwise() for _ in range(4)], cnnx.GlobalAvgPool2D(), Flatten(), Linear(64, 5)
    ),
    "strided": lambda: Sequential(
        pointwise(), Conv2D(64, 64, 3, stride=2, padding=1), pointwise(), pointwise()
    ),
    "signals": lambda: Sequential(*[cnnx.Conv1D(64, 64, 1) for _ in range(4)]),
}


def shape_of(name):
    return (64, 196) if name == "signals" else (64, 14, 14)


def built(name):
    cnnx.manual_seed(3)
    return trained(MODELS[name]())


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS)
def test_a_region_is_channels_last_between_two_copies(name, dtype, batch):
    model, shape = built(name).astype(dtype), shape_of(name)
    plan = cnnx.compile(model, shape, batch=batch)
    x = drawn((batch, *shape), dtype)
    assert_close(model, plan(x), model(x))
    names = computed(plan)
    assert names.count("channels last") == 1
    assert names.count("planes") == (name != "pooled")
    assert names[0] == "channels last" and "Python" not in names


def test_a_value_is_copied_once_and_every_reader_finds_its_layout():
    model = trained(two_ways())
    plan = cnnx.compile(model, (64, 14, 14), batch=1)
    x = drawn((1, 64, 14, 14))
    for found, expected in zip(plan(x), model(x), strict=True):
        assert_close(model, found, expected)
    names = computed(plan)
    assert names.count("channels last") == 1 and names.count("planes") == 2


@pytest.mark.parametrize(
    ("shape", "regions"),
    [
        ((64, 1, 1), 1),  # a number for each channel
        ((14, 14), 1),  # for each pixel
        ((1,), 1),
        ((64, 14, 14), 2),  # for each channel and pixel: this has an order of its own
    ],
    ids=str,
)
def test_constants_are_in_a_region_if_they_are_the_same_in_both_layouts(shape, regions):
    layer = Binary("mul")
    layer.fix(1, drawn(shape, seed=5))
    around = [pointwise() for _ in range(8)]
    model = trained(Sequential(*around[:4], layer, *around[4:]))
    plan, x = cnnx.compile(model, (64, 14, 14), batch=2), drawn((2, 64, 14, 14))
    assert_close(model, plan(x), model(x))
    assert computed(plan).count("channels last") == regions


@pytest.mark.parametrize("shape", [(2, 64, 1, 1), (2, 1, 14, 14)], ids=str)
def test_so_are_inputs_of_the_network(shape):
    x, y = cnnx.Input((64, 14, 14)), cnnx.Input(shape[1:])
    h = Sequential(*[pointwise() for _ in range(4)])(x)
    h = Sequential(*[pointwise() for _ in range(4)])(Binary("mul")(h, y))
    model = trained(cnnx.Graph((x, y), h))
    plan = cnnx.compile(model, {"x": (2, 64, 14, 14), "y": shape})
    given = drawn((2, 64, 14, 14)), drawn(shape, seed=5)
    assert_close(model, plan(*given), model(*given))
    assert computed(plan).count("channels last") == 1


def test_a_convolution_alone_stays_as_it_is():
    """What it gains is less than two copies take."""
    plan = cnnx.compile(Conv2D(64, 64, 1), (64, 14, 14), batch=1)
    assert not set(computed(plan)) & set(COPIES)


def test_the_bits_do_not_depend_on_the_number_of_threads():
    plan = cnnx.compile(built("inverted"), (64, 14, 14), batch=3)
    x, before = drawn((3, 64, 14, 14)), cnnx.get_num_threads()
    found = set()
    try:
        for threads in (1, 2, 3):
            cnnx.set_num_threads(threads)
            found.add(plan(x).tobytes())
    finally:
        cnnx.set_num_threads(before)
    assert len(found) == 1


def test_explain_and_profile_name_the_copies():
    plan = cnnx.compile(built("pointwise"), (64, 14, 14), batch=1)
    rows = plan.profile(drawn((1, 64, 14, 14)))
    assert [row.computed_by for row in rows if row.layers == ""] == list(COPIES)
    assert all(row.gbs > 0 for row in rows)
    assert "channels last" in plan.explain() and plan.memory()
