"""`Embedding`: as in PyTorch, in models, and its errors."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import Embedding, Flatten, Linear, Sequential, ops


def test_vectors_and_gradients_are_those_of_torch():
    torch = pytest.importorskip("torch")
    ours, theirs = Embedding(9, 4, -2).astype("float64"), torch.nn.Embedding(9, 4, -2).double()
    assert not ours.weight.data[7].any() and ours.weight.data[6].all()
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).integers(9, size=(5, 6))
    y = theirs(torch.tensor(x))
    dy = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(torch.tensor(dy))
    assert np.array_equal(ours(x), y.detach().numpy())
    assert ours.backward(dy, need_dx=False) is None
    np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad.numpy(), rtol=1e-13)
    assert not ours.weight.grad[7].any()


def _texts(n=60, words=12):
    """Numbers; the label is whether the first is below 6."""
    x = np.random.default_rng(0).integers(words, size=(n, 3))
    return x, (x[:, 0] < words // 2).astype(np.int64)


def test_a_model_of_words_is_trained_saved_and_described(tmp_path):
    cnnx.manual_seed(0)
    model = Sequential(Embedding(12, 5), Flatten(), Linear(15, 2))
    assert model.output_shape((3,)) == (2,)
    assert model.summary((3,)).rows[0].output_shape == (3, 5)
    x, y = _texts()
    before = model[0].weight.data.copy()
    settings = {"epochs": 20, "batch_size": 20, "seed": 0, "verbose": False}
    optimizer = cnnx.Adam(model.parameters(), lr=0.05)
    history = cnnx.fit(model, (x, y), optimizer=optimizer, **settings)
    assert cnnx.evaluate(model, (x, y)).accuracy > 0.95 and len(history) == 20
    assert not np.array_equal(model[0].weight.data, before)
    model.save(tmp_path / "m.npz")
    assert np.array_equal(cnnx.load(tmp_path / "m.npz")(x), model(x))
    frozen = model.copy()
    frozen[0].freeze()
    assert not frozen.backward(np.ones_like(frozen(x))).any()
    assert frozen[0].weight.grad is None and frozen[2].weight.grad is not None


def test_words_as_the_input_of_a_graph():
    words = cnnx.Input((3,))
    model = cnnx.Graph(words, Linear(15, 2)(Flatten()(Embedding(12, 5)(words))))
    x, _ = _texts()
    y = model(x)
    model.backward(np.ones_like(y), need_dx=False)
    assert y.shape == (60, 2) and all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("index", [-1, 12])
def test_an_unknown_number_is_an_error_with_the_number(index):
    x = np.array([[1, 2], [3, index]])
    with pytest.raises(ValueError, match=rf"indices\[1, 1\] is {index}.*12 rows.*0 to 11"):
        Embedding(12, 5)(x)
    with pytest.raises(ValueError, match=rf"embedding_backward: indices\[1, 1\] is {index}"):
        ops.embedding_backward(np.ones((2, 2, 3)), x, 12)


def test_bad_arguments_are_errors_in_words():
    with pytest.raises(TypeError, match="Embedding: x has dtype float64, but integers"):
        Embedding(12, 5)(np.ones(3))
    with pytest.raises(TypeError, match="max_norm"):
        Embedding(12, 5, max_norm=1.0)
    with pytest.raises(TypeError, match="sparse"):
        Embedding(12, 5, sparse=True)
    with pytest.raises(ValueError, match=r"padding_idx=12.*at most 11"):
        Embedding(12, 5, 12)
    with pytest.raises(ValueError, match=r"dy has shape \(2, 3\).*\(4,\)"):
        ops.embedding_backward(np.ones((2, 3)), [0, 1, 2, 3], 4)
