"""`Graph`: networks of any shape, their gradients, names, copies, files and errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from layer_helpers import Product, Scale, check_gradients, images

import cnnx
from cnnx import (
    Add,
    BatchNorm2D,
    Concat,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Graph,
    Identity,
    Input,
    Layer,
    Linear,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    no_grad,
)


def diamond():
    """Two branches from one convolution, which are joined twice."""
    x = Input((2, 5, 4))
    h = Conv2D(2, 3, 3, padding=1)(x)
    left, right = Tanh()(Conv2D(3, 3, 1)(h)), BatchNorm2D(3)(h)
    return Graph(x, Flatten()(ReLU()(left + right) + h))


def one_layer_called_three_times():
    x, shared = Input((3,)), Linear(3, 3)
    h = shared(x)
    return Graph(x, shared(Tanh()(h) + shared(h)))


def a_graph_in_a_sequential_in_a_graph():
    inner = diamond()
    x = Input((2, 5, 4))
    return Graph(x, Linear(60, 3)(Sequential(Conv2D(2, 2, 1), inner, Tanh())(x)))


def branches_and_a_gate():
    x = Input((2, 5, 4))
    dense = Concat(Identity(), Sequential(Conv2D(2, 3, 3, padding=1), ReLU()))(x)
    gate = Sequential(GlobalAvgPool2D(), Conv2D(5, 5, 1), Sigmoid())(dense)
    return Graph(x, Flatten()(Concat()(dense * gate, dense)))


def a_user_defined_layer_of_two_inputs():
    x = Input((4,))
    return Graph(x, Linear(4, 2)(Product()(Linear(4, 4)(x), Tanh()(x))))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (diamond, (3, 2, 5, 4)),
        (one_layer_called_three_times, (4, 3)),
        (a_graph_in_a_sequential_in_a_graph, (3, 2, 5, 4)),
        (a_user_defined_layer_of_two_inputs, (5, 4)),
        (branches_and_a_gate, (2, 2, 5, 4)),
    ],
)
@pytest.mark.parametrize("backend", cnnx.available_backends())
def test_gradients_match_finite_differences(make, shape, backend):
    with cnnx.use_backend(backend):
        check_gradients(make().astype("f8"), images(*shape), 1e-5)


def test_a_small_graph_matches_values_computed_by_hand():
    x = Input((2,))
    double, triple = Scale(2.0), Scale(3.0)
    h = double(x)
    model = Graph(x, Add()(triple(h), h, x))
    assert model([[1.0, 10.0]]).tolist() == [[6 + 2 + 1, 60 + 20 + 10]]
    assert model.backward([[1.0, 1.0]]).tolist() == [[9.0, 9.0]]
    assert double.weight.grad.tolist() == [44.0]  # (3 + 1) * (1 + 10)
    assert triple.weight.grad.tolist() == [22.0]  # 2 * (1 + 10)


def test_several_inputs_and_outputs():
    a, b = Input((3,)), Input((2,))
    first, second = Linear(3, 2), Linear(2, 2)
    total = first(a) + second(b)
    model = Graph((a, b), (Tanh()(total), total)).astype("f8")
    xa, xb = images(4, 3), images(4, 2, seed=1)
    tanh, y = model(xa, xb)
    np.testing.assert_allclose(tanh, np.tanh(y))
    assert model.output_shape((3,), (2,)) == ((2,), (2,))
    dy = images(4, 2, seed=2)
    dxa, dxb = model.backward((np.zeros((4, 2)), dy))
    np.testing.assert_allclose(dxa, dy @ first.weight.data)
    np.testing.assert_allclose(dxb, dy @ second.weight.data)
    model(xa, xb)
    only = model.backward((None, dy))  # a head that the loss does not depend on
    np.testing.assert_array_equal(only[0], dxa)
    model(xa, xb)
    assert model.backward((None, dy), need_dx=False) is None


def test_predict_joins_each_output_and_fit_and_evaluate_need_a_single_one():
    x = Input((3,))
    model = Graph(x, (Scale(2.0)(x), Linear(3, 2)(x)))
    data = images(5, 3, dtype="f4")
    first, second = cnnx.predict(model, data, batch_size=2)
    np.testing.assert_array_equal(first, 2 * data)
    assert second.shape == (5, 2)
    labels = np.zeros(5, int)
    for call in (
        lambda: cnnx.predict_labels(model, data),
        lambda: cnnx.predict_proba(model, data),
        lambda: cnnx.evaluate(model, (data, labels)),
        lambda: cnnx.fit(model, (data, labels), verbose=False),
    ):
        with pytest.raises(ValueError, match="the model has 2 outputs, expected one"):
            call()


def test_the_gradient_of_an_input_that_no_gradient_reaches_is_none():
    a, b = Input((3,)), Input((3,))
    model = Graph((a, b), (Tanh()(a), Tanh()(b)))
    y, _ = model(images(2, 3), images(2, 3))
    dxa, dxb = model.backward((y, None))
    assert dxa.shape == (2, 3) and dxb is None


def test_a_graph_of_two_outputs_may_be_part_of_others():
    x = Input((3,))
    pair = Graph(x, (Scale(2.0)(x), Scale(3.0)(x)))
    chain = Sequential(pair, Product(), Tanh())
    x_ = images(2, 3)
    np.testing.assert_allclose(chain(x_), np.tanh(6 * x_ * x_))
    check_gradients(chain, x_, 1e-5)
    s = Input((3,))
    first, second = pair(s)
    np.testing.assert_allclose(Graph(s, first + second)(x_), 5 * x_)


def test_containers_may_be_called_on_symbols():
    x = Input((3, 4, 4))
    body = Sequential(Conv2D(3, 3, 3, padding=1), BatchNorm2D(3))
    model = Graph(x, ReLU()(Residual(body)(x)))
    same = Sequential(Residual(body), ReLU())
    data = images(2, 3, 4, 4, dtype="f4")
    np.testing.assert_array_equal(model(data), same(data))
    assert [line.count("+") for line in model.explain().splitlines()] == [0, 2]
    assert set(model.state_dict()) == {f"0.{key}" for key in Residual(body).state_dict()}


def test_branches_of_a_concat_share_one_input():
    layer = Concat(Scale(2.0), Identity(), Scale(3.0), axis=-1)
    assert layer([[1.0, 5.0]]).tolist() == [[2, 10, 1, 5, 3, 15]]
    assert layer.backward([[1.0, 1, 1, 1, 1, 1]]).tolist() == [[6, 6]]
    assert list(layer.state_dict()) == ["0.weight", "2.weight"]
    assert layer.branches[2].weight.grad.tolist() == [6.0]
    with pytest.raises(TypeError, match=r"Concat: .* not a layer"):
        Concat(ReLU(), np.abs)
    alone = Concat(Scale(2.0))
    assert alone([[1.0]]).tolist() == [[2.0]]


def test_an_intermediate_symbol_can_be_an_input_or_an_output():
    x = Input((3,))
    h = Linear(3, 4)(x)
    y = Tanh()(h)
    whole, features, head = Graph(x, y), Graph(x, h), Graph(h, y)
    data = images(2, 3, dtype="f4")
    np.testing.assert_array_equal(whole(data), head(features(data)))


def test_calls_that_no_output_depends_on_are_left_out():
    x = Input((3,))
    Linear(3, 100)(x)
    assert list(Graph(x, Tanh()(x)).state_dict()) == []


@pytest.mark.parametrize("make", [diamond, one_layer_called_three_times, branches_and_a_gate])
def test_copies_pickles_and_files_are_the_same_network(make, tmp_path):
    model = make()
    shape = model.input_shapes[0]
    x = images(3, *shape, dtype="f4")
    y = model.eval()(x)
    model.save(tmp_path / "model.npz")
    twins = model.copy(), copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for twin in (*twins, cnnx.load(tmp_path / "model.npz")):
        np.testing.assert_array_equal(twin(x), y)
        assert twin.state_dict().keys() == model.state_dict().keys()
        assert repr(twin) == repr(model) and twin.explain() == model.explain()
        for parameter in twin.parameters():
            parameter.data[...] = 0
        assert not np.array_equal(twin(x), y)
    np.testing.assert_array_equal(model(x), y)


class Named(Graph):
    """A subclass whose layers are attributes."""

    def __init__(self, width):
        self.width = width
        self.stem, self.head = Linear(3, width), Linear(width, 2)
        x = Input((3,))
        super().__init__(x, self.head(Tanh()(self.stem(x))))


def test_attributes_of_a_subclass_name_its_layers(tmp_path):
    model = Named(5)
    assert list(model.state_dict()) == ["stem.weight", "stem.bias", "head.weight", "head.bias"]
    assert [name for name, _ in model.children()] == ["stem", "1", "head"]
    x = images(2, 3, dtype="f4")
    model.save(tmp_path / "named.npz")
    with pytest.raises(ValueError, match="'Named'"):
        cnnx.load(tmp_path / "named.npz")
    twin = cnnx.load(tmp_path / "named.npz", custom={"Named": Named})
    assert type(twin) is Named and twin.width == 5
    np.testing.assert_array_equal(twin(x), model(x))
    twin.head = Linear(5, 7)
    assert twin(x).shape == (2, 7) and twin["head"] is twin.head
    twin["head"] = Linear(5, 6)
    assert twin(x).shape == (2, 6) and twin["head"] is twin.head


def test_named_layers_do_not_change_the_numbers_of_the_others(tmp_path):
    x = Input((3, 5, 5))
    stem, head = Conv2D(3, 2, 3, padding=1), Linear(50, 4)
    model = Graph(x, head(Flatten()(ReLU()(stem(x)))), {"head": head, "stem": stem})
    assert [name for name, _ in model.children()] == ["stem", "1", "2", "head"]
    assert list(model.state_dict()) == ["stem.weight", "stem.bias", "head.weight", "head.bias"]
    assert model["stem"] is stem
    model.save(tmp_path / "named.npz")
    twin, x = cnnx.load(tmp_path / "named.npz"), images(2, 3, 5, 5, dtype="f4")
    assert list(twin.state_dict()) == list(model.state_dict())
    np.testing.assert_array_equal(twin(x), model(x))
    twin["head"] = Linear(50, 7)
    assert twin(x).shape == (2, 7)


@pytest.mark.parametrize("name", ["", "1", "a.b", 3, "forward"])
def test_invalid_names_are_errors(name):
    x, layer = Input(3), ReLU()
    with pytest.raises(ValueError, match=f"Graph: {name!r} is not a name"):
        Graph(x, layer(x), {name: layer})
    with pytest.raises(ValueError, match="Graph: 'b' names a layer that was not called"):
        Graph(x, layer(x), {"a": layer, "b": ReLU()})
    with pytest.raises(ValueError, match="a layer has two names, among 'a', 'b'"):
        Graph(x, layer(x), {"a": layer, "b": layer})


def test_a_layer_can_be_replaced():
    model = diamond()
    x = images(2, 2, 5, 4, dtype="f4")
    model(x)
    model["1"] = Conv2D(3, 3, 3, padding=1)
    model["2"] = ReLU()
    assert model(x).shape == (2, 60)
    with pytest.raises(KeyError, match="no layer '77'"):
        model["77"] = ReLU()
    with pytest.raises(TypeError, match="not a layer"):
        model["1"] = np.abs
    with pytest.raises(ValueError, match="contain itself"):
        model["1"] = Sequential(model)


def test_fit_predict_and_no_grad():
    x = Input((4,))
    h = ReLU()(Linear(4, 16)(x))
    model = Graph(x, Linear(16, 2)(Dropout(0.1)(h) + h))
    rng = np.random.default_rng(0)
    data = rng.normal(size=(200, 4)).astype("f4")
    labels = (data[:, 0] * data[:, 1] > 0).astype(int)
    adam = cnnx.Adam(model.parameters(), lr=1e-2)
    history = cnnx.fit(model, (data, labels), epochs=30, optimizer=adam, seed=0, verbose=False)
    assert history[-1]["accuracy"] > 0.9
    with no_grad():
        model(data)
    with pytest.raises(RuntimeError, match=r"^Graph.backward: no forward"):
        model.backward(np.ones((200, 2)))
    assert cnnx.predict(model, data).shape == (200, 2)


def test_a_summary_shows_inputs_and_fused_steps():
    summary = diamond().summary((2, 5, 4), fused=True)
    assert [row.reads for row in summary.rows] == [
        *(("input",), ("0",), ("1",), ("0",), ("2", "3"), ("4",), ("5", "0"), ("6",))
    ]
    assert [row.step for row in summary.rows] == [0, 1, 2, 3, 3, 3, 4, 5]
    assert str(summary).splitlines()[1].split()[-2:] == ["step", "reads"]
    table = Sequential(Linear(2, 2), Tanh()).summary(2)
    assert "reads" not in str(table) and "step" not in str(table)
    a, b = Input((3,)), Input((3,))
    both = Graph((a, b), a + b).summary(3, 3)
    assert both.rows[0].reads == ("input 0", "input 1") and both.input_shape == ((3,), (3,))


def test_the_input_may_be_named_and_options_go_to_forward():
    class Times(Layer):
        def forward(self, x, factor=1):
            return factor * x

    x = images(2, 3)
    np.testing.assert_array_equal(Times()(x, factor=3), 3 * x)
    np.testing.assert_allclose(Sequential(Tanh())(x=x), np.tanh(x))
    with pytest.raises(TypeError, match="factor"):
        Times()(Input((3,)), factor=3)


def test_a_frozen_branch_is_skipped():
    x = Input((3,))
    frozen = Linear(3, 3).freeze()
    model = Graph(x, Linear(3, 2)(frozen(x) + Linear(3, 3)(x)))
    y = model(images(2, 3, dtype="f4"))
    frozen.backward = lambda dy: pytest.fail("its gradient is not needed")
    model.backward(y, need_dx=False)
    assert model["1"].weight.grad is not None


def test_gradients_of_many_readers_add_up_in_one_order_fused_or_not():
    """Three summands: the result depends on their order."""
    x = Input((4, 6, 6))
    h = Conv2D(4, 4, 1)(x)
    first = Conv2D(4, 4, 3, padding=1)(h)
    others = [Tanh()(Conv2D(4, 4, 3, padding=1)(h)) for _ in range(3)]
    model = Graph(x, ReLU()(first + Add()(*others)))
    assert any(line.count("+") == 2 for line in model.explain().splitlines())
    data, dy = images(2, 4, 6, 6, dtype="f4"), images(2, 4, 6, 6, dtype="f4", seed=3)
    model(data)
    fused = model.backward(dy)
    for layer in model.modules():
        if isinstance(layer, Add):
            layer.forward = type(layer).forward.__get__(layer)  # patched: not fused
    assert not any("Add +" in line for line in model.explain().splitlines())
    model(data)
    np.testing.assert_array_equal(model.backward(dy), fused)


@pytest.mark.parametrize("fused", [False, True], ids=["apart", "sum"])
def test_a_shared_batch_norm_updates_its_statistics_in_the_order_of_the_calls(fused):
    """A fused step runs later than its first node: not past another node of the same layer."""
    x, norm = Input((3, 4, 4)), BatchNorm2D(3)
    first, second = Tanh()(x), Sigmoid()(x)
    a, b = norm(first), norm(second)
    model = Graph(x, a + b) if fused else Graph(x, Concat()(a + first, b))
    data = images(2, 3, 4, 4, dtype="f4")
    model(data)
    assert ("BatchNorm2D + " in model.explain()) == fused
    expected = BatchNorm2D(3)
    expected(Tanh()(data))
    expected(Sigmoid()(data))
    np.testing.assert_array_equal(norm.running_mean, expected.running_mean)
    np.testing.assert_array_equal(norm.running_var, expected.running_var)
