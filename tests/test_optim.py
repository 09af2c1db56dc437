"""Optimisers: hand-computed first steps, twenty steps against PyTorch, per-parameter state."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import cnnx
from cnnx import ops
from cnnx.layers import Linear, Parameter
from cnnx.optim import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    NAdam,
    RMSProp,
)

METHODS = [
    (SGD, "SGD", {"lr": 0.1}),
    (SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    (SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.1}),
    (SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 1.0, "maximize": True}),
    (SGD, "SGD", {"lr": 0.1, "dampening": 0.5}),
    (SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "maximize": True}),
    (RMSProp, "RMSprop", {}),
    (RMSProp, "RMSprop", {"lr": 0.02, "alpha": 0.9, "weight_decay": 0.1, "momentum": 0.5}),
    (RMSProp, "RMSprop", {"centered": True, "momentum": 0.3, "eps": 1e-4}),
    (Adagrad, "Adagrad", {}),
    (
        Adagrad,
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2},
    ),
    (Adam, "Adam", {}),
    (Adam, "Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    (Adam, "Adam", {"lr": 0.01, "amsgrad": True, "betas": (0.5, 0.7)}),
    (AdamW, "AdamW", {}),
    (AdamW, "AdamW", {"lr": 0.1, "weight_decay": 0.5, "amsgrad": True}),
    (NAdam, "NAdam", {}),
    (
        NAdam,
        "NAdam",
        {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.2, "momentum_decay": 0.3},
    ),
    (NAdam, "NAdam", {"lr": 0.05, "weight_decay": 0.2, "decoupled_weight_decay": True}),
]


def exact_torch(request):
    """PyTorch, with scalars of the state (NAdam's product) in float64 until the test ends."""
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)
    request.addfinalizer(lambda: torch.set_default_dtype(torch.float32))
    return torch


def parameters(dtype=np.float64):
    rng = np.random.default_rng(0)
    return [Parameter(rng.normal(size=shape).astype(dtype)) for shape in ((3, 4), (4,))]


def gradients(step, dtype=np.float64):
    rng = np.random.default_rng(100 + step)
    return [rng.normal(size=shape).astype(dtype) for shape in ((3, 4), (4,))]


def take_steps(optimizer, params, steps):
    for step in steps:
        for parameter, grad in zip(params, gradients(step, params[0].dtype), strict=True):
            parameter.grad = grad
        optimizer.step()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        # w = 1, g = 2
        (lambda p: SGD(p, lr=0.25), 1 - 0.25 * 2),
        (lambda p: SGD(p, lr=0.25, weight_decay=0.5), 1 - 0.25 * 2.5),
        (lambda p: SGD(p, lr=0.1, momentum=0.5, nesterov=True), 1 - 0.1 * (2 + 0.5 * 2)),
        (lambda p: RMSProp(p, lr=0.1, alpha=0.75, eps=0), 1 - 0.1 * 2 / math.sqrt(0.25 * 4)),
        (lambda p: Adagrad(p, lr=0.5, eps=0), 1 - 0.5),
        (lambda p: Adam(p, lr=0.1, eps=0), 1 - 0.1),
    ],
)
def test_the_first_step_computed_by_hand(make, expected):
    parameter = Parameter(np.array([1.0]))
    optimizer = make([parameter])
    parameter.grad = np.array([2.0])
    optimizer.step()
    assert parameter.data[0] == pytest.approx(expected, rel=1e-12)


def test_momentum_accumulates():
    parameter = Parameter(np.array([0.0]))
    optimizer = SGD([parameter], lr=1.0, momentum=0.5)
    for _ in range(3):
        parameter.grad = np.array([1.0])
        optimizer.step()
    assert parameter.data[0] == pytest.approx(-(1 + 1.5 + 1.75))


@pytest.mark.parametrize(("method", "name", "options"), METHODS)
def test_twenty_steps_are_those_of_torch(method, name, options, request):
    torch = exact_torch(request)
    params = parameters()
    theirs = [torch.tensor(p.data.copy(), requires_grad=True) for p in params]
    optimizer, twin = method(params, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(20):
        for tensor, grad in zip(theirs, gradients(step), strict=True):
            tensor.grad = torch.tensor(grad)
        twin.step()
    take_steps(optimizer, params, range(20))
    for parameter, tensor in zip(params, theirs, strict=True):
        np.testing.assert_allclose(parameter.data, tensor.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("method", "name", "options"), METHODS)
def test_defaults_are_those_of_torch(method, name, options):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, name)([torch.zeros(1)], lr=0.1).defaults
    ours = method([Parameter([0.0])], lr=0.1).param_groups[0]
    assert {key: theirs[key] for key in ours if key != "params"} == {
        key: value for key, value in ours.items() if key != "params"
    }


@pytest.mark.parametrize(("method", "name", "options"), METHODS)
def test_a_saved_state_continues_with_the_same_bits(method, name, options):
    params = parameters()
    optimizer = method(params, **options)
    take_steps(optimizer, params, range(5))
    weights, state = [p.data.copy() for p in params], optimizer.state_dict()
    take_steps(optimizer, params, range(5, 10))

    resumed = [Parameter(weight) for weight in weights]
    twin = method(resumed, lr=0.5)
    twin.load_state_dict(state)
    take_steps(twin, resumed, range(5, 10))
    for one, other in zip(params, resumed, strict=True):
        assert np.array_equal(one.data, other.data)
    assert twin.lr == optimizer.lr


def test_a_state_from_before_amsgrad_is_loaded():
    params = parameters()
    optimizer = Adam(params)
    take_steps(optimizer, params, range(2))
    state = optimizer.state_dict()
    del state["groups"][0]["amsgrad"]
    twin = Adam(parameters(), amsgrad=True)
    twin.load_state_dict(state)
    assert twin.param_groups[0]["amsgrad"] is False
    assert np.array_equal(
        twin.state_dict()["state"][1]["exp_avg"], optimizer.state_dict()["state"][1]["exp_avg"]
    )


@pytest.mark.parametrize("beta1", [0.0, 0.5, 0.9, 0.999])
def test_late_steps_of_nadam_are_those_of_torch(beta1, request):
    """The product of many factors is cut short."""
    torch = exact_torch(request)
    theirs, own = torch.ones(1, dtype=torch.float64, requires_grad=True), Parameter(np.ones(1))
    twin = torch.optim.NAdam([theirs], betas=(beta1, 0.999))
    optimizer = NAdam([own], betas=(beta1, 0.999))
    for step in range(100):
        own.grad = np.array([math.sin(step)])
        theirs.grad = torch.tensor(own.grad)
        optimizer.step()
        twin.step()
    assert own.data[0] == pytest.approx(theirs.item(), rel=1e-12)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_copy_and_a_pickle_keep_the_state(duplicate):
    params = parameters()
    optimizer = Adam(params)
    take_steps(optimizer, params, range(3))
    twin = duplicate(optimizer)
    take_steps(optimizer, params, range(3, 6))
    take_steps(twin, twin.parameters(), range(3, 6))
    for one, other in zip(params, twin.parameters(), strict=True):
        assert one is not other
        assert np.array_equal(one.data, other.data)


def test_a_state_dict_is_a_copy():
    params = parameters()
    optimizer = Adam(params)
    take_steps(optimizer, params, [0])
    state = optimizer.state_dict()
    before = state["state"][0]["exp_avg"].copy()
    take_steps(optimizer, params, [1])
    assert np.array_equal(state["state"][0]["exp_avg"], before)
    assert state["state"][0]["step"] == 1


def test_a_wrong_state_is_refused_and_changes_nothing():
    params = parameters()
    optimizer = Adam(params)
    take_steps(optimizer, params, range(2))
    good = optimizer.state_dict()
    wrong_shape, lacking, far = copy.deepcopy(good), copy.deepcopy(good), copy.deepcopy(good)
    wrong_shape["state"][1]["exp_avg"] = np.zeros(5)
    wrong_shape["groups"][0]["lr"] = 5.0
    del lacking["state"][0]["exp_avg_sq"]
    far["state"][7] = far["state"][0]
    for state, message in (
        (wrong_shape, r"state 1: exp_avg has shape \(5,\).*\(4,\)"),
        (lacking, "lacks.*exp_avg_sq"),
        (far, "parameter 7 of 2"),
        ({}, "groups"),
        (SGD(params, lr=1).state_dict(), "settings"),
        (Adam(params[:1]).state_dict(), r"\[1\] parameters, expected \[2\]"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(state)
    assert optimizer.lr == 1e-3
    after = optimizer.state_dict()
    assert np.array_equal(after["state"][1]["exp_avg"], good["state"][1]["exp_avg"])


def test_groups_have_their_own_settings():
    one, two = Parameter([1.0]), Parameter([1.0])
    optimizer = SGD([{"params": [one], "lr": 0.5}, {"params": two}], lr=0.1)
    one.grad = two.grad = np.array([1.0], np.float32)
    optimizer.step()
    assert one.data[0] == pytest.approx(0.5)
    assert two.data[0] == pytest.approx(0.9)
    assert optimizer.lr == 0.5
    optimizer.lr = 0.25
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_parameters_without_gradient_and_frozen_ones_are_not_changed():
    one, two, three = Parameter([1.0]), Parameter([1.0]), Parameter([1.0])
    optimizer = Adam([one, two, three], lr=0.1)
    two.grad = three.grad = np.array([1.0])
    three.requires_grad = False
    optimizer.step()
    assert one.data[0] == 1.0
    assert two.data[0] == pytest.approx(0.9)
    assert three.data[0] == 1.0
    optimizer.zero_grad()
    assert two.grad is None


def test_state_is_cast_and_not_lost_when_the_model_changes_its_dtype():
    params = parameters(np.float32)
    optimizer = Adam(params)
    take_steps(optimizer, params, range(3))
    before = optimizer.state_dict()["state"][0]
    for parameter in params:
        parameter.data = parameter.data.astype(np.float64)
    for parameter in params:
        parameter.grad = np.zeros(parameter.shape)
    optimizer.step()
    after = optimizer.state_dict()["state"][0]
    assert after["exp_avg"].dtype == np.float64
    assert after["step"] == 4
    np.testing.assert_allclose(after["exp_avg"], 0.9 * before["exp_avg"], rtol=1e-6)


@pytest.mark.parametrize(("method", "name", "options"), METHODS)
def test_parameters_that_skip_steps_are_updated_as_in_torch(method, name, options, request):
    torch = exact_torch(request)
    params = parameters()
    theirs = [torch.tensor(p.data.copy(), requires_grad=True) for p in params]
    optimizer, twin = method(params, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(8):
        grads = gradients(step)
        for index in range(2):
            present = index == 0 if step in (0, 1, 5) else index == 1 if step == 3 else True
            params[index].grad = grads[index] if present else None
            theirs[index].grad = torch.tensor(grads[index]) if present else None
        optimizer.step()
        twin.step()
    for parameter, tensor in zip(params, theirs, strict=True):
        np.testing.assert_allclose(parameter.data, tensor.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_a_step_is_one_call_whatever_the_number_of_parameters(monkeypatch):
    calls = []
    monkeypatch.setattr(ops, "adam_step", lambda params, *_, **__: calls.append(len(params)))
    params = [Parameter([1.0]) for _ in range(5)]
    optimizer = Adam(params)
    for parameter in params[1:]:
        parameter.grad = [1.0]
    for _ in range(3):
        optimizer.step()
    assert calls == [5, 5, 5]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_state_follows_parameters_when_groups_and_dtypes_change(kind):
    one, two = Parameter([1.0, 2.0]), Parameter(np.array([3.0]))
    optimizer = SGD([one], lr=1.0, momentum=0.5)
    one.grad = [1.0, 1.0]
    optimizer.step()  # velocity 1
    optimizer.add_param_group({"params": [two], "lr": 0.5})
    two.data = two.data.astype(kind)
    two.grad = [1.0]
    optimizer.step()  # velocities 1.5 and 1
    optimizer.param_groups[0]["params"].append(optimizer.param_groups[1]["params"].pop())
    optimizer.step()  # velocities 1.75 and 1.5
    assert one.data.tolist() == [1 - 4.25, 2 - 4.25]
    assert two.data.tolist() == [3 - 0.5 - 1.5]
    assert [state["step"] for state in optimizer.state_dict()["state"].values()] == [3, 2]


def test_replaced_data_is_updated():
    parameter = Parameter([1.0, 2.0])
    optimizer = SGD([parameter], lr=1.0, momentum=0.5)
    parameter.grad = [1.0, 1.0]
    optimizer.step()
    parameter.data = np.array([10.0, 10.0], np.float32)
    optimizer.step()
    assert parameter.data.tolist() == [8.5, 8.5]


def test_a_gradient_that_is_not_finite_is_not_hidden():
    parameter = Parameter([1.0])
    optimizer = SGD([parameter], lr=0.1)
    parameter.grad = [np.nan]
    optimizer.step()
    assert np.isnan(parameter.data[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p, lr=-0.1), "lr=-0.1"),
        (lambda p: SGD(p, lr=float("nan")), "lr=nan"),
        (lambda p: SGD(p, lr=0.1, momentum=-1), "momentum=-1"),
        (lambda p: SGD(p, lr=0.1, nesterov=True), "nesterov.*momentum=0"),
        (lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=1.5), "dampening=1.5"),
        (lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.5, nesterov=True), "dampening=0.5"),
        (lambda p: Adam(p, betas=(0.9, 1.0)), r"betas\[1\]=1"),
        (lambda p: Adam(p, betas=0.9), "betas is 0.9"),
        (lambda p: Adam(p, eps=-1), "eps=-1"),
        (lambda p: AdamW(p, betas=(0.9, 1.0)), r"AdamW: betas\[1\]=1"),
        (lambda p: NAdam(p, momentum_decay=-1), "momentum_decay=-1"),
        (lambda p: RMSProp(p, alpha=1.5), "alpha=1.5"),
        (lambda p: Adagrad(p, initial_accumulator_value=-1), "initial_accumulator_value=-1"),
        (lambda p: SGD([], lr=0.1), "empty"),
        (lambda p: SGD([*p, *p], lr=0.1), "twice"),
        (lambda p: SGD([{"params": p, "speed": 1}], lr=0.1), "speed"),
    ],
)
def test_bad_settings_are_named_with_their_number(make, message):
    with pytest.raises(ValueError, match=message):
        make([Parameter([1.0])])


@pytest.mark.parametrize("params", [Parameter([1.0]), [np.ones(2)], [Linear(2, 2)]])
def test_a_value_that_is_not_a_list_of_parameters_is_a_type_error(params):
    with pytest.raises(TypeError, match="Parameter"):
        Adam(params)


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_centered_rmsprop_with_constant_gradients_stays_finite(backend, dtype):
    """Their variance is 0, but its rounding error may be negative."""
    with cnnx.use_backend(backend):
        gradient = np.array([0.1, -0.3, 1e3, 0.0], dtype)
        parameter = Parameter(np.zeros(4, dtype))
        optimizer = RMSProp([parameter], lr=0.01, alpha=0.9, eps=1e-3, centered=True)
        for _ in range(600):
            before = parameter.data.copy()
            parameter.grad = gradient
            optimizer.step()
            step = before - parameter.data
            # Against the gradient, and at most a step for a variance of 0: lr * g / eps.
            assert (step * gradient >= 0).all()
            assert (abs(step) <= 1.01 * abs(0.01 * gradient.astype(np.float64) / 1e-3)).all()
        assert np.isfinite(parameter.data).all() and abs(parameter.data[0]) > 1
