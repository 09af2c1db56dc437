"""The op `lstm` and its prepared form: PyTorch's results, and weights that are packed once."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import ops


def drawn(rng, dtype, steps, n, inputs, hidden, sides):
    shapes = [(steps, n, inputs), (sides, 4 * hidden, inputs), (sides, 4 * hidden, hidden)]
    shapes += [(sides, 8 * hidden), (sides, n, hidden), (sides, n, hidden)]
    return [rng.standard_normal(shape).astype(dtype) / 2 for shape in shapes]


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("sizes", [(1, 1, 128, 128), (5, 3, 7, 40), (40, 2, 9, 17)])
def test_pytorch_gives_the_same(sizes, direction):
    torch = pytest.importorskip("torch")
    sides = 2 if direction == "bidirectional" else 1
    hidden, dtype = sizes[3], np.float64
    arrays = drawn(np.random.default_rng(0), dtype, *sizes, sides)
    net = torch.nn.LSTM(sizes[2], hidden, bidirectional=sides == 2, dtype=torch.float64)
    x, w, r, b, h, c = map(torch.from_numpy, arrays)
    order = torch.arange(4 * hidden).reshape(4, hidden)[[0, 2, 3, 1]].ravel()  # to i, f, g, o
    with torch.no_grad():
        for side, suffix in zip(range(sides), ("", "_reverse")):
            of_w, of_r = b[side].reshape(2, 4 * hidden)
            for name, value in (("weight_ih", w[side]), ("weight_hh", r[side])):
                getattr(net, f"{name}_l0{suffix}").copy_(value[order])
            getattr(net, f"bias_ih_l0{suffix}").copy_(of_w[order])
            getattr(net, f"bias_hh_l0{suffix}").copy_(of_r[order])
        y, (last_h, last_c) = net(x, (h, c))
    found = ops.lstm(*arrays, direction)
    steps, n = sizes[:2]
    by_side = y.numpy().reshape(steps, n, sides, hidden).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(found[:-2], by_side, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found[-2], last_h.numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(found[-1], last_c.numpy(), rtol=0, atol=1e-13)


@pytest.mark.skipif("compiled" not in cnnx.available_backends(), reason="prepared ops are compiled")
class TestPrepared:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
    @pytest.mark.parametrize("sizes", [(2, 1, 5, 19), (9, 3, 4, 16), (130, 1, 3, 5)])
    def test_the_bits_are_those_of_the_op_each_time(self, sizes, direction, dtype):
        from cnnx.backends.compiled import jobs

        sides = 2 if direction == "bidirectional" else 1
        rng = np.random.default_rng(1)
        x, w, r, b, h, c = drawn(rng, dtype, *sizes, sides)
        job = jobs.prepare_lstm(x.shape, r.shape, dtype, direction)
        packed = job.pack((w, r, b))
        for states in ((h, c), (None, c), (h, None), (None, None)):
            expected = ops.lstm(x, w, r, b, *states, direction)
            for _ in range(2):
                y = np.full(expected.shape, np.nan, dtype)
                job.run(x, packed, *states, y)
                assert y.tobytes() == expected.tobytes()

    def test_weights_that_do_not_fit_are_refused(self):
        from cnnx.backends.compiled import jobs

        x, w, r, b, h, c = drawn(np.random.default_rng(2), np.float32, 2, 1, 5, 4, 1)
        job = jobs.prepare_lstm(x.shape, r.shape, np.float32, "forward")
        y = np.empty((4, 1, 1, 4), np.float32)
        with pytest.raises(ValueError, match="r has shape"):
            job.pack((w, r[:, :15].copy(), b))
        with pytest.raises(TypeError, match="b has dtype float64"):
            job.pack((w, r, b.astype(np.float64)))
        with pytest.raises(TypeError, match="weights must come from this job's pack"):
            job.run(x, w, h, c, y)
        other = jobs.prepare_lstm(x.shape, r.shape, np.float32, "forward").pack((w, r, b))
        with pytest.raises(TypeError, match="weights must come from this job's pack"):
            job.run(x, other, h, c, y)
