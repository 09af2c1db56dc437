"""What plans know of a network for inputs of certain shapes: sizes, branches, views."""

from __future__ import annotations

import numpy as np
import pytest
from engine_helpers import compiled_only, drawn

import cnnx
from cnnx.engine.settle import choosing, settle
from cnnx.graph.wiring import Node, Wiring
from cnnx.onnx.layers import (
    Binary,
    ConcatAny,
    Expand,
    Gather,
    If,
    Item,
    ReshapeTo,
    Shape,
    Slice,
    Transpose,
    Unary,
    Unsqueeze,
)


def fixed(layer, **inputs):
    """An operator that holds inputs: at_1=..."""
    for name, array in inputs.items():
        layer.fix(int(name.removeprefix("at_")), np.asarray(array))
    return layer


def wired(inputs, *calls):
    """(layer, inputs) in order; the last is the output."""
    nodes = [
        Node(f"{i} {type(layer).__name__}", layer, given, (inputs + i,))
        for i, (layer, given) in enumerate(calls)
    ]
    return Wiring(inputs, tuple(nodes), (inputs + len(calls) - 1,))


def graph_of(wiring, shapes):
    from cnnx.engine.graphs import graph_of

    return graph_of(wiring, shapes)


def kinds(wiring):
    return [type(node.layer).__name__ for node in wiring.nodes]


def flattened():
    """x.reshape(x.shape[0], -1), as PyTorch writes it."""
    return wired(
        1,
        (Shape(), (0,)),
        (fixed(Gather(), at_1=0), (1,)),
        (Unsqueeze((0,)), (2,)),
        (fixed(ConcatAny(0), at_1=np.array([-1])), (3,)),
        (ReshapeTo(), (0, 4)),
    )


def branches(several=False):
    """If the second input is 1, twice the first, else its negative."""
    twice, minus = fixed(Binary("mul"), at_1=np.float32(2)), Unary("neg")
    outputs = (2, 1) if several else (2,)
    then = wired(2, (twice, (1,)))._replace(outputs=outputs)
    otherwise = wired(2, (minus, (1,)))._replace(outputs=outputs)
    chosen = If(graph_of(then, ((), (3,))), graph_of(otherwise, ((), (3,))))
    calls = [(fixed(Binary("equal"), at_1=np.float32(1)), (1,)), (chosen, (2, 0))]
    if several:
        calls += [(Item(0), (3,)), (Item(1), (3,)), (Binary("add"), (4, 5))]
    return graph_of(wired(2, *calls), ((3,), ()))


def test_arithmetic_on_shapes_is_done_in_advance():
    wiring = flattened()
    found = settle(wiring, [np.zeros((2, 3, 4), np.float32)])
    assert kinds(found) == ["ReshapeTo"] and found.nodes[0].inputs == (0,)
    np.testing.assert_array_equal(found.nodes[0].layer.constants[1].array, [2, -1])
    assert not wiring.nodes[-1].layer.constants  # the model's own layer is as it was


def test_what_follows_from_values_stays():
    wiring = wired(1, (Shape(), (0,)), (Unary("abs"), (0,)), (Expand(), (2, 1)))
    assert kinds(settle(wiring, [np.zeros((2, 3), np.float32)])) == ["Unary", "Expand"]
    cast = wired(2, (ReshapeTo(), (0, 1)))
    assert settle(cast, [np.zeros(6, np.float32), np.array([2, 3])]).nodes == cast.nodes


@pytest.mark.parametrize("several", [False, True])
def test_a_known_condition_leaves_one_branch(several):
    wiring = branches(several).wiring()
    x = np.zeros((2, 3), np.float32)
    for rate, left in ((1.0, "Binary"), (3.0, "Unary")):
        found = settle(wiring, [x, np.float32(rate)], known=[1])
        assert kinds(found) == [left, "Add"][: 1 + several]
    assert "If" in kinds(settle(wiring, [x, np.float32(1)]))


def test_only_scalars_that_a_condition_depends_on_choose():
    wiring = branches().wiring()
    assert choosing(wiring, [0, 1]) == (0, 1)  # the first enters the branch
    scaled = wired(2, (Binary("mul"), (0, 1)))
    assert choosing(scaled, [1]) == ()


def test_a_sum_of_equal_shapes_is_part_of_the_convolution_before():
    conv = cnnx.Conv2D(3, 3, 3, padding=1)
    wiring = wired(1, (conv, (0,)), (Binary("add"), (1, 0)), (cnnx.ReLU(), (2,)))
    images = np.zeros((2, 3, 5, 4), np.float32)
    assert kinds(settle(wiring, [images])) == ["Conv2D", "Add", "ReLU"]
    graph = graph_of(wiring, ((3, 5, 4),))
    plan, x = cnnx.compile(graph, (3, 5, 4), batch=2), drawn((2, 3, 5, 4))
    np.testing.assert_allclose(plan(x), graph.eval()(x), rtol=1e-5, atol=1e-5)
    if "compiled" in cnnx.available_backends():
        assert len(plan._described(2).entries) == 1
    wide = wired(2, (Binary("add"), (0, 1)))
    for a, b in (((2, 3, 4), (2, 1, 4)), ((3,), (3,))):
        assert kinds(settle(wide, [np.zeros(a, np.float32), np.zeros(b, np.float32)])) == ["Binary"]
    assert kinds(settle(wide, [np.zeros((2, 3), np.int64)] * 2)) == ["Binary"]


def test_a_plan_of_a_flattening_network_for_several_shapes():
    graph = graph_of(flattened(), ((3, 4),))
    plan = cnnx.compile(graph, (3, 4))
    for shape in ((2, 3, 4), (5, 3, 4), (1, 3, 7)):
        x = drawn(shape)
        np.testing.assert_array_equal(plan(x), x.reshape(shape[0], -1))
        assert plan(x).base is None or not np.may_share_memory(plan(x), x)


@pytest.mark.parametrize("several", [False, True])
def test_a_scalar_chooses_the_branch_of_each_call(several):
    plan = cnnx.compile(branches(several), {"x": (2, 3), "rate": ()})
    x = drawn((2, 3))
    for rate in (1, 0, 1, 2, 3, 1, 4, 5, 6, 1, np.nan, 1):  # more than have programs of their own
        y = 2 * x if rate == 1 else -x
        np.testing.assert_array_equal(plan(x, rate), x + y if several else y)


@compiled_only
def test_few_values_of_a_scalar_have_programs_of_their_own():
    plan = cnnx.compile(branches(), {"x": (2, 3), "rate": ()})
    x = drawn((2, 3))
    for rate in (1, 0, 1, 0):
        plan(x, rate)
    assert len(plan._programs) == 2 and "If" not in plan.explain()
    for rate in range(20):
        plan(x, rate)
    assert len(plan._programs) <= 8 and "If" in plan.explain()


# -------------------------------------------------------------------------------------- views


def sliced(start, end, axis=1, step=1):
    return fixed(Slice(), at_1=[start], at_2=[end], at_3=[axis], at_4=[step])


def split(first, second):
    """The product of two views of tanh(x), and x for which they are."""
    return wired(1, (cnnx.Tanh(), (0,)), (first, (1,)), (second, (1,)), (Binary("mul"), (2, 3)))


@compiled_only
@pytest.mark.parametrize(
    ("first", "second", "batch", "found"),
    [
        (sliced(0, 4), sliced(4, 8), 1, ["view", "view"]),
        (sliced(0, 4), sliced(4, 8), 2, ["strided copy", "strided copy"]),
        (sliced(0, 4), sliced(2, 6), 1, ["view", "view"]),
        (sliced(0, 8, 1, 2), sliced(1, 8, 1, 2), 1, ["strided copy", "strided copy"]),
        (fixed(Gather(1), at_1=-1), fixed(Gather(1), at_1=0), 1, ["view", "view"]),
        (sliced(0, 1), fixed(Expand(), at_1=[1, 8, 5]), 1, ["view", "view"]),
        (Transpose((0, 2, 1)), Transpose((0, 2, 1)), 2, ["strided copy", "strided copy"]),
        (Transpose(), Transpose(), 1, ["strided copy", "strided copy"]),
    ],
)
def test_slices_that_are_contiguous_are_not_copied(first, second, batch, found):
    graph = graph_of(split(first, second), ((8, 5),))
    plan = cnnx.compile(graph, (8, 5))
    x = drawn((batch, 8, 5))
    np.testing.assert_allclose(plan(x), graph.eval()(x), rtol=1e-6)
    entries = plan._described(batch).entries
    assert [entry.kind for entry in entries[1:3]] == found


@compiled_only
def test_views_of_inputs_and_views_as_outputs_are_copied():
    graph = graph_of(wired(1, (sliced(2, 4), (0,))), ((8, 5),))
    plan = cnnx.compile(graph, (8, 5))
    x = drawn((1, 8, 5))
    y = plan(x)
    np.testing.assert_array_equal(y, x[:, 2:4])
    assert not np.may_share_memory(y, x)
    both = wired(1, (cnnx.Tanh(), (0,)), (sliced(2, 4), (1,)))._replace(outputs=(1, 2))
    whole, part = cnnx.compile(graph_of(both, ((8, 5),)), (8, 5))(x)
    np.testing.assert_array_equal(part, whole[:, 2:4])
    assert not np.may_share_memory(whole, part)
