"""Each pass of a plan alone, against the graph before it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from engine_helpers import assert_close, drawn, trained

import cnnx
from cnnx import (
    BatchNorm1D,
    BatchNorm2D,
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    ConvTranspose2D,
    Dropout,
    Flatten,
    Identity,
    Linear,
    ReLU,
    Residual,
    Sequential,
)
from cnnx.engine import memory
from cnnx.engine.fold import fold
from cnnx.engine.graphs import flat_copy
from cnnx.engine.memory import Lifetime, place
from cnnx.engine.simplify import simplify


def kinds(graph):
    return [type(node.layer).__name__ for node in graph.wiring().nodes]


# ------------------------------------------------------------------------------------ flat_copy


def test_the_flat_graph_computes_the_same_and_does_not_change_with_the_model():
    model = trained(cnnx.models.resnet20())
    x = drawn((2, 3, 8, 8))
    expected = model(x)
    graph = flat_copy(model, ((3, 8, 8),))
    assert not any(isinstance(node.layer, Sequential) for node in graph.wiring().nodes)
    for parameter in model.parameters():
        parameter.data = parameter.data + 1
    assert graph(x).tobytes() == expected.tobytes()
    assert not any(layer.training for layer in graph.modules())


def test_layers_that_share_weights_still_do():
    layer = Linear(4, 4)
    model = Sequential(layer, ReLU(), layer)
    graph = flat_copy(model, ((4,),))
    assert len(graph.parameters()) == 2
    first, _, last = graph.wiring().nodes
    assert first.layer is last.layer is not layer


# ------------------------------------------------------------------------------------- simplify


def test_layers_without_effect_are_removed_and_the_bits_are_the_same():
    body = Sequential(Conv2D(3, 3, 3, padding=1), Dropout(0.5), Identity())
    model = Sequential(Identity(), Residual(body), ReLU(), Flatten(), Dropout(0.1)).eval()
    before = flat_copy(model, ((3, 5, 5),))
    after = simplify(before)
    assert kinds(after) == ["Conv2D", "Add", "ReLU", "Flatten"]
    x = drawn((2, 3, 5, 5))
    assert after(x).tobytes() == before(x).tobytes() == model(x).tobytes()


def test_a_sum_of_several_values_is_a_chain_of_sums_with_the_same_bits():
    x = cnnx.Input((4, 6, 6))
    ways = [Conv2D(4, 4, 3, padding=1)(x), x, ReLU()(x), Conv2D(4, 4, 1)(x)]
    graph = flat_copy(cnnx.Graph(x, ReLU()(cnnx.Add()(*ways))), ((4, 6, 6),))
    summed = simplify(graph)
    assert kinds(summed).count("Add") == 3 == kinds(graph).count("Add") + 2
    x = drawn((2, 4, 6, 6))
    assert summed(x).tobytes() == graph(x).tobytes()
    if "compiled" in cnnx.available_backends():
        assert "Python" not in cnnx.compile(graph, (4, 6, 6), batch=2).explain()


def test_a_network_that_does_nothing_gives_its_input():
    after = simplify(flat_copy(Sequential(Dropout(0.5), Identity()), ((3,),)))
    x = drawn((2, 3))
    assert kinds(after) == [] and after(x).tobytes() == x.tobytes()


def test_outputs_that_the_container_around_does_not_use_are_not_computed():
    x = cnnx.Input((4,))
    inner = cnnx.Graph(x, (Linear(4, 2)(x), Linear(4, 3)(x)))
    z = cnnx.Input((4,))
    used, _ = inner(z)
    model = cnnx.Graph(z, ReLU()(used))
    before = flat_copy(model, ((4,),))
    after = simplify(before)
    assert kinds(before) == ["Linear", "Linear", "ReLU"] and kinds(after) == ["Linear", "ReLU"]
    values = drawn((5, 4))
    assert after(values).tobytes() == model(values).tobytes()


def test_a_patched_dropout_and_a_subclass_stay():
    class Noisy(Dropout):
        def forward(self, x):
            return 2 * x

    patched = Dropout(0.5)
    model = Sequential(Noisy(0.5), patched)
    graph = flat_copy(model, ((3,),))
    graph.wiring().nodes[1].layer.forward = lambda x: 3 * x
    x = drawn((2, 3))
    np.testing.assert_array_equal(simplify(graph)(x), 6 * x)


# ----------------------------------------------------------------------------------------- fold

FOLDED = {
    "Conv2D": ((6, 9, 9), [Conv2D(6, 4, 3, stride=2), BatchNorm2D(4)]),
    "Conv2D without bias": ((6, 9, 9), [Conv2D(6, 4, 3, bias=False), BatchNorm2D(4)]),
    "Conv2D of groups": ((6, 9, 9), [Conv2D(6, 12, 3, groups=3), BatchNorm2D(12)]),
    "Conv2D depthwise": ((8, 9, 9), [Conv2D(8, 8, 3, groups=8), BatchNorm2D(8)]),
    "ConvTranspose2D": ((6, 5, 5), [ConvTranspose2D(6, 4, 2, stride=2), BatchNorm2D(4)]),
    "ConvTranspose2D of groups": ((6, 5, 5), [ConvTranspose2D(6, 8, 2, groups=2), BatchNorm2D(8)]),
    "Conv1D": ((6, 9), [Conv1D(6, 4, 3), BatchNorm1D(4)]),
    "ConvTranspose1D": ((6, 9), [ConvTranspose1D(6, 4, 3, groups=2), BatchNorm1D(4)]),
    "Linear": ((6,), [Linear(6, 4), BatchNorm1D(4)]),
    "without affine": ((6,), [Linear(6, 4), BatchNorm1D(4, affine=False, eps=0.1)]),
    "two norms": ((6, 9, 9), [Conv2D(6, 4, 3), BatchNorm2D(4), BatchNorm2D(4)]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", FOLDED)
def test_batch_norm_becomes_part_of_the_weights(case, dtype):
    shape, layers = FOLDED[case]
    model = trained(Sequential(*[layer.copy() for layer in layers]), seed=3).astype(dtype)
    before = flat_copy(model, (shape,))
    after = fold(before)
    assert kinds(after) == [type(layers[0]).__name__]
    x = drawn((3, *shape), dtype)
    assert_close(model, after(x), before(x))


def test_a_folded_layer_has_the_weights_of_the_formula():
    model = trained(Sequential(Linear(2, 2, bias=False), BatchNorm1D(2, eps=0.25)))
    layer, norm = model[0], model[1]
    layer.weight.data = np.array([[1, 2], [3, 4]], np.float32)
    norm.running_var = np.array([0.75, 3.75], np.float32)  # 1 / sqrt(var + eps): 1 and 1/2
    norm.running_mean = np.array([1, 2], np.float32)
    norm.weight.data = np.array([2, 4], np.float32)
    norm.bias.data = np.array([5, 7], np.float32)
    [node] = fold(flat_copy(model, ((2,),))).wiring().nodes
    assert node.layer.weight.data.tolist() == [[2, 4], [6, 8]]
    assert node.layer.bias.data.tolist() == [5 - 2, 7 - 4]


KEPT = {
    "another layer between": ((4, 5, 5), [Conv2D(4, 4, 3), ReLU(), BatchNorm2D(4)]),
    "statistics of the batch": (
        (4, 5, 5),
        [Conv2D(4, 4, 3), BatchNorm2D(4, track_running_stats=False)],
    ),
    "channels on another axis than features": ((4, 6), [Linear(6, 4), BatchNorm1D(4)]),
}


@pytest.mark.parametrize("case", KEPT)
def test_batch_norm_stays_where_it_is_no_part_of_the_weights(case):
    shape, layers = KEPT[case]
    model = trained(Sequential(*layers))
    before = flat_copy(model, (shape,))
    after = fold(before)
    x = drawn((3, *shape))
    assert kinds(after) == kinds(before) and after(x).tobytes() == before(x).tobytes()


def test_batch_norm_stays_if_something_else_reads_the_output_of_the_convolution():
    x = cnnx.Input((3, 6, 6))
    h = Conv2D(3, 4, 3)(x)
    model = trained(cnnx.Graph(x, BatchNorm2D(4)(h) + h))
    after = fold(flat_copy(model, ((3, 6, 6),)))
    assert kinds(after) == ["Conv2D", "BatchNorm2D", "Add"]
    values = drawn((2, 3, 6, 6))
    assert after(values).tobytes() == model(values).tobytes()


def test_a_convolution_used_twice_becomes_two_with_their_own_norms():
    conv, first, second = Conv2D(4, 4, 3, padding=1), BatchNorm2D(4), BatchNorm2D(4)
    model = trained(Sequential(conv, first, ReLU(), conv, second, ReLU(), conv))
    after = fold(flat_copy(model, ((4, 6, 6),)))
    assert kinds(after) == ["Conv2D", "ReLU", "Conv2D", "ReLU", "Conv2D"]
    x = drawn((2, 4, 6, 6))
    assert_close(model, after(x), model(x))
    names = list(after.state_dict())
    assert len(names) == len(set(names)) == 6


# --------------------------------------------------------------------------------------- memory


def overlap(a, b):
    """Whether two share memory and time, given as (offset, lifetime)."""
    (offset, life), (other_offset, other) = a, b
    in_time = life.first <= other.last and other.first <= life.last
    return in_time and offset < other_offset + other.size and other_offset < offset + life.size


def drawn_lifetime(rng, offset=0):
    first = int(rng.integers(0, 30))
    return Lifetime(int(rng.integers(1, 5000)), first, first + int(rng.integers(0, 6)), offset)


@pytest.mark.parametrize("seed", range(20))
def test_no_two_values_overlap_in_memory_and_time(seed):
    rng = np.random.default_rng(seed)
    lifetimes = [drawn_lifetime(rng) for _ in range(rng.integers(1, 40))]
    offsets, size = place([[life] for life in lifetimes])
    placed = list(zip(offsets, lifetimes, strict=True))
    assert not any(overlap(a, b) for a, b in itertools.combinations(placed, 2))
    assert all(offset % 64 == 0 and 0 <= offset <= size - life.size for offset, life in placed)
    at_once = max(
        sum(life.size for life in lifetimes if life.first <= t <= life.last) for t in range(40)
    )
    assert at_once <= size <= sum(life.size + 63 for life in lifetimes)


@pytest.mark.parametrize("seed", range(20))
def test_values_of_a_block_keep_their_distance_and_no_two_blocks_overlap(seed):
    rng = np.random.default_rng(seed)
    blocks = []
    for _ in range(rng.integers(2, 12)):
        block, end = [], 0
        for _ in range(rng.integers(1, 5)):
            block.append(drawn_lifetime(rng, end + int(rng.integers(0, 300))))
            end = block[-1].offset + block[-1].size
        blocks.append(block)
    places, size = place(blocks)
    placed = [
        [(at + life.offset, life) for life in block]
        for at, block in zip(places, blocks, strict=True)
    ]
    for one, other in itertools.combinations(placed, 2):
        assert not any(overlap(a, b) for a in one for b in other)
    assert all(at % 64 == 0 and at >= 0 for at in places)
    assert size >= max(at + life.size for block in placed for at, life in block)


def test_a_chain_needs_two_neighbours_at_a_time():
    _, size = place([[Lifetime(640, i, i + 1)] for i in range(20)])
    assert size == 2 * 640


def test_a_value_goes_into_the_smallest_gap_that_holds_it():
    ends = [(0, 64), (256, 320), (384, 448)]  # gaps of 192 and 64 bytes
    found = []
    for size in (64, 128, 256):
        forbidden = [(begin - size, end) for begin, end in ends]
        found.append(memory._best_gap(forbidden))
    assert found == [320, 64, 448]


def test_what_a_block_does_not_use_yet_is_free_for_others():
    early, late = Lifetime(640, 0, 9), Lifetime(640, 8, 9, offset=640)
    assert place([[early, late], [Lifetime(640, 1, 7)]]) == ([0, 640], 1280)
    assert place([[early, late], [Lifetime(640, 1, 8)]]) == ([0, 1280], 1920)


def test_nothing_needs_no_memory():
    assert place([]) == ([], 0)
