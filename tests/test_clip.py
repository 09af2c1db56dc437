"""Gradient clipping: values computed by hand, and PyTorch's norms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_optim import gradients, parameters

from cnnx.layers import Parameter
from cnnx.optim import clip_grad_norm, clip_grad_value


def test_clip_grad_norm_scales_all_gradients_together():
    one, two = Parameter([0.0, 0.0]), Parameter([0.0])
    one.grad, two.grad = [3.0, 0.0], [4.0]
    assert clip_grad_norm([one, two], 1.0) == pytest.approx(5.0)
    np.testing.assert_allclose(one.grad, [0.6, 0], rtol=1e-5)
    np.testing.assert_allclose(two.grad, [0.8], rtol=1e-5)
    assert clip_grad_norm([one, two], 10.0) == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(two.grad, [0.8], rtol=1e-5)
    assert clip_grad_norm([one, two], 10.0, norm_type=math.inf) == pytest.approx(0.8, rel=1e-5)
    assert clip_grad_norm([Parameter([1.0])], 1.0) == 0.0
    two.grad = [np.inf]
    assert clip_grad_norm([one, two], 1.0) == math.inf
    assert one.grad[0] == pytest.approx(0.6, rel=1e-5)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf])
def test_clipping_is_that_of_torch(norm_type):
    torch = pytest.importorskip("torch")
    params = parameters()
    theirs = [torch.tensor(p.data, requires_grad=True) for p in params]
    for parameter, tensor, grad in zip(params, theirs, gradients(0), strict=True):
        parameter.grad, tensor.grad = grad.copy(), torch.tensor(grad)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 0.7, norm_type)
    assert clip_grad_norm(params, 0.7, norm_type) == pytest.approx(expected.item(), rel=1e-12)
    for parameter, tensor in zip(params, theirs, strict=True):
        np.testing.assert_allclose(parameter.grad, tensor.grad.numpy(), rtol=1e-12)


def test_clip_grad_value_cuts_every_entry():
    parameter = Parameter([0.0, 0.0, 0.0])
    parameter.grad = [-3.0, 0.2, 5.0]
    clip_grad_value([parameter, Parameter([1.0])], 0.5)
    np.testing.assert_allclose(parameter.grad, [-0.5, 0.2, 0.5])
    with pytest.raises(ValueError, match="clip_value=-1"):
        clip_grad_value([parameter], -1)
