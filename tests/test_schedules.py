"""Schedules: whole curves against PyTorch, resuming, several groups, errors."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

import cnnx
from cnnx.layers import Parameter
from cnnx.optim import SGD, Adagrad, Adam
from cnnx.optim import schedules as ours

LRS = (0.1, 0.02)


def optimizer(method=SGD, **options):
    return method([{"params": [Parameter([1.0])], "lr": lr} for lr in LRS], lr=1.0, **options)


def make(package, given, spec):
    """A schedule of a package from (name, options), or (name, [specs of its parts], options)."""
    name, *parts, options = spec
    if name == "LinearWarmup" and package is not ours:
        name = "LinearLR"
    extra = {"interval": "epoch"} if package is ours else {}
    if not parts:
        return getattr(package, name)(given, **options, **extra)
    made = [make(package, given, part) for part in parts[0]]
    return getattr(package, name)(schedulers=made, optimizer=given, **options)


CURVES = {
    "step": ("StepLR", {"step_size": 3, "gamma": 0.5}),
    "milestones": ("MultiStepLR", {"milestones": [9, 4, 4, 12]}),
    "milestone-0": ("MultiStepLR", {"milestones": [0, 4], "gamma": 0.3}),
    "exponential": ("ExponentialLR", {"gamma": 0.9}),
    "cosine": ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.001}),
    "cosine-of-one": ("CosineAnnealingLR", {"T_max": 1}),
    "restarts": ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    "restarts-of-one": ("CosineAnnealingWarmRestarts", {"T_0": 1}),
    "warmup": ("LinearWarmup", {}),
    "warmup-options": (
        "LinearWarmup",
        {"start_factor": 0.01, "end_factor": 0.5, "total_iters": 7},
    ),
    "one-cycle": ("OneCycleLR", {"max_lr": 0.4, "total_steps": 20}),
    "one-cycle-groups": (
        "OneCycleLR",
        {
            "max_lr": [0.4, 0.1],
            "epochs": 5,
            "steps_per_epoch": 4,
            "pct_start": 0.43,
            "anneal_strategy": "linear",
            "base_momentum": [0.7, 0.8],
            "max_momentum": 0.9,
            "div_factor": 5,
            "final_div_factor": 10,
        },
    ),
    "three-phases": (
        "OneCycleLR",
        {"max_lr": 0.4, "total_steps": 20, "three_phase": True, "pct_start": 0.35},
    ),
    "constant-momentum": (
        "OneCycleLR",
        {"max_lr": 0.4, "total_steps": 20, "cycle_momentum": False},
    ),
    "sequence": (
        "SequentialLR",
        [
            ("LinearWarmup", {"total_iters": 4}),
            ("CosineAnnealingWarmRestarts", {"T_0": 5}),
            ("StepLR", {"step_size": 2}),
        ],
        {"milestones": [4, 12]},
    ),
    "sequence-to-one-cycle": (
        "SequentialLR",
        [
            ("ExponentialLR", {"gamma": 0.5}),
            ("OneCycleLR", {"max_lr": 0.5, "total_steps": 20}),
        ],
        {"milestones": [3]},
    ),
    "sequence-at-once": (
        "SequentialLR",
        [("ExponentialLR", {"gamma": 0.5}), ("MultiStepLR", {"milestones": [0, 2]})],
        {"milestones": [0]},
    ),
    "chained": (
        "ChainedScheduler",
        [
            ("LinearWarmup", {"total_iters": 6}),
            ("ExponentialLR", {"gamma": 0.9}),
            ("CosineAnnealingLR", {"T_max": 8}),
        ],
        {},
    ),
}


def momenta(groups):
    return [group["betas"][0] if "betas" in group else group["momentum"] for group in groups]


@pytest.mark.parametrize("method", [SGD, Adam])
@pytest.mark.parametrize("curve", CURVES)
def test_the_curve_is_that_of_torch(curve, method):
    torch = pytest.importorskip("torch")
    options = {"momentum": 0.6} if method is SGD else {}
    mine = optimizer(method, **options)
    groups = [{"params": [torch.ones(1, requires_grad=True)], "lr": lr} for lr in LRS]
    theirs = getattr(torch.optim, method.__name__)(groups, lr=1.0, **options)
    one = make(ours, mine, CURVES[curve])
    other = make(torch.optim.lr_scheduler, theirs, CURVES[curve])
    for step in range(20):
        lrs = [group["lr"] for group in theirs.param_groups]
        np.testing.assert_allclose(one.get_last_lr(), lrs, rtol=1e-12, atol=1e-16, err_msg=step)
        expected = momenta(theirs.param_groups)
        np.testing.assert_allclose(momenta(mine.param_groups), expected, rtol=1e-12)
        theirs.step()
        one.step()
        other.step()


METRICS = [1.0, 0.9, 0.9, 0.8999, 0.95, 0.9, 0.7, 0.71, np.nan, 0.72, 0.7, 0.7, 0.1, 0.2, 0.2, 0.2]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("rest", [{"cooldown": 2}, {"min_lr": [0.01, 0.015]}, {"threshold": 0.3}])
def test_the_plateau_is_that_of_torch(mode, threshold_mode, rest):
    torch = pytest.importorskip("torch")
    options = {"mode": mode, "threshold_mode": threshold_mode, "patience": 1, **rest}
    mine = optimizer()
    groups = [{"params": [torch.ones(1)], "lr": lr} for lr in LRS]
    theirs = torch.optim.SGD(groups, lr=1.0)
    one = ours.ReduceLROnPlateau(mine, **options)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for metric in METRICS:
        one.step(metric)
        other.step(metric)
        assert one.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-12)
    assert one.get_last_lr() != list(LRS)


def test_values_computed_by_hand():
    schedule = ours.StepLR(optimizer(), 2)
    seen = []
    for _ in range(4):
        seen.append(schedule.get_last_lr()[0])
        schedule.step()
    assert seen == pytest.approx([0.1, 0.1, 0.01, 0.01])
    cycle = ours.OneCycleLR(optimizer(momentum=0.9), max_lr=1.0, total_steps=10)
    assert cycle.get_last_lr() == pytest.approx([0.04, 0.04])
    assert momenta(cycle.optimizer.param_groups) == [0.95, 0.95]


@pytest.mark.parametrize("curve", CURVES)
def test_a_saved_schedule_continues_with_the_same_bits(curve):
    schedule = make(ours, optimizer(momentum=0.6), CURVES[curve])
    for _ in range(7):
        schedule.step()
    state = json.loads(json.dumps(schedule.state_dict()))
    resumed = make(ours, optimizer(momentum=0.6), CURVES[curve])
    resumed.load_state_dict(state)
    for _ in range(10):
        assert resumed.get_last_lr() == schedule.get_last_lr()
        groups = resumed.optimizer.param_groups, schedule.optimizer.param_groups
        assert momenta(groups[0]) == momenta(groups[1])
        schedule.step()
        resumed.step()


def test_a_saved_plateau_continues():
    schedule, resumed = (ours.ReduceLROnPlateau(optimizer(), patience=1) for _ in range(2))
    for metric in METRICS[:5]:
        schedule.step(metric)
    resumed.load_state_dict(schedule.state_dict())
    for metric in METRICS[5:]:
        schedule.step(metric)
        resumed.step(metric)
        assert resumed.get_last_lr() == schedule.get_last_lr()


def test_a_wrong_state_is_refused_and_changes_nothing():
    warm = optimizer()
    parts = [ours.LinearWarmup(warm, interval="epoch"), ours.ExponentialLR(warm, 0.9)]
    schedule = ours.SequentialLR(warm, parts, [5])
    good, before = schedule.state_dict(), schedule.get_last_lr()
    short, fewer = copy.deepcopy(good), copy.deepcopy(good)
    short["schedulers"][1]["lr"] = [0.1]
    fewer["schedulers"].pop()
    for state, message in (
        (short, "1 groups, and the optimizer has 2"),
        (fewer, "1 schedulers, expected 2"),
        (ours.StepLR(optimizer(), 2).state_dict(), "schedulers|expected"),
        ({}, "expected"),
    ):
        with pytest.raises(ValueError, match=message):
            schedule.load_state_dict(state)
    assert schedule.get_last_lr() == before and schedule.state_dict() == good


def test_a_copied_run_keeps_its_schedule():
    schedule = ours.OneCycleLR(optimizer(momentum=0.9), max_lr=1.0, total_steps=10)
    schedule.step()
    twin = copy.deepcopy(schedule)
    twin.step()
    assert twin.optimizer.lr == twin.get_last_lr()[0] > schedule.optimizer.lr


def test_the_interval_is_that_of_the_class_or_as_asked():
    assert ours.StepLR(optimizer(), 2).interval == "epoch"
    assert ours.StepLR(optimizer(), 2, interval="batch").interval == "batch"
    assert ours.LinearWarmup(optimizer()).interval == "batch"
    assert ours.OneCycleLR(optimizer(momentum=0.9), 1.0, 10).interval == "batch"
    given = optimizer()
    parts = [ours.ExponentialLR(given, 0.9, interval="batch") for _ in range(2)]
    assert ours.ChainedScheduler(parts).interval == "batch"


def test_a_schedule_shows_its_settings():
    assert "step_size=2, gamma=0.1" in repr(ours.StepLR(optimizer(), 2))
    assert "optimizer" not in repr(ours.StepLR(optimizer(), 2))


def _mixed():
    given = optimizer()
    return ours.SequentialLR(given, [ours.LinearWarmup(given), ours.ExponentialLR(given, 1)], [5])


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: ours.StepLR(optimizer(), 0), ValueError, "step_size"),
        (lambda: ours.StepLR("SGD", 1), TypeError, "optimizer is a str"),
        (lambda: ours.OneCycleLR("SGD", 1.0, 10), TypeError, "optimizer is a str"),
        (lambda: ours.StepLR(optimizer(), 1, interval="day"), ValueError, "interval"),
        (lambda: ours.LinearWarmup(optimizer(), 0.0), ValueError, "start_factor=0"),
        (lambda: ours.OneCycleLR(optimizer(Adagrad), 1.0, 10), ValueError, "cycle_momentum=False"),
        (lambda: ours.OneCycleLR(optimizer(), 1.0, epochs=3), ValueError, "total_steps, or both"),
        (lambda: ours.OneCycleLR(optimizer(), [1.0], 10), ValueError, "1 numbers.*2 groups"),
        (lambda: ours.OneCycleLR(optimizer(Adam), 1.0, 9, max_momentum=1), ValueError, "max_mom"),
        (lambda: ours.ReduceLROnPlateau(optimizer()).step(), ValueError, "needs the metric"),
        (lambda: ours.ReduceLROnPlateau(optimizer(), factor=1.0), ValueError, "factor"),
        (lambda: ours.ReduceLROnPlateau(optimizer(), min_lr=[1.0]), ValueError, "min_lr"),
        (_mixed, ValueError, "by epoch and some by batch"),
        (lambda: ours.SequentialLR(optimizer(), [], []), ValueError, "one fewer|empty"),
        (lambda: ours.ChainedScheduler([]), ValueError, "empty"),
        (lambda: ours.ChainedScheduler([1]), TypeError, "int"),
        (
            lambda: ours.ChainedScheduler([ours.ReduceLROnPlateau(optimizer())]),
            ValueError,
            "metric",
        ),
        (
            lambda: ours.ChainedScheduler([ours.StepLR(optimizer(), 1)], optimizer()),
            ValueError,
            "another optimizer",
        ),
    ],
)
def test_bad_arguments_are_named(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()


def test_a_step_beyond_the_cycle_is_an_error():
    cycle = ours.OneCycleLR(optimizer(momentum=0.9), 1.0, 3)
    for _ in range(3):
        cycle.step()
    for _ in range(2):
        with pytest.raises(ValueError, match="step 4 of total_steps=3"):
            cycle.step()


def test_fit_steps_a_schedule():
    model = cnnx.Sequential(cnnx.Linear(2, 2))
    sgd = SGD(model.parameters(), lr=0.1)
    x = np.zeros((8, 2), np.float32)
    schedule = ours.ExponentialLR(sgd, 0.5)
    cnnx.fit(model, (x, np.zeros(8, int)), epochs=3, optimizer=sgd, schedule=schedule, verbose=0)
    assert sgd.lr == pytest.approx(0.0125)
