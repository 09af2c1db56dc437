"""`Optimizer`: parameter groups, and per-parameter state."""

# Design:
# An optimiser has groups of parameters, each with its own settings (as in PyTorch, so that layers
# may have different learning rates). The parameters of a group and dtype are updated in one call of
# an in-place op, and their state is stored in flat arrays that the op traverses (`FlatState`).
# State belongs to the Parameter object, not to its array, so it survives replacing `.data`, tying
# and `astype`. If groups or dtypes have changed since the last step, the flat arrays are rebuilt,
# and the state of each parameter is copied, with a cast if needed.

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from cnnx import checks
from cnnx.layers.parameter import Parameter
from cnnx.optim.state import Arrays, FlatState, Grads, Group, State

__all__ = ["Bounds", "Optimizer", "Params"]

Params = Iterable[Parameter] | Iterable[dict[str, Any]]
Bounds = dict[str, tuple[float, float]]  # (minimum, maximum) of each numeric setting


class Optimizer:
    """Base of all optimisers. A subclass checks its settings and updates parameters of one dtype.

    params    parameters, or groups: ``[{"params": [...], "lr": 0.1}, {"params": [...]}]``, where a
              group's settings override the constructor's
    settings  defaults for all groups

    `param_groups` is the list of groups; settings may be changed between steps. `step` skips
    parameters without a gradient and frozen ones. Gradients that are not finite are used like any
    other: detect them with `clip_grad_norm`, or let `fit` do it.
    """

    _bounds: ClassVar[Bounds] = {}
    _flags: ClassVar[tuple[str, ...]] = ()  # settings that are True or False
    _later: ClassVar[dict[str, Any]] = {}  # settings that states written before do not have

    def __init__(self, params: Params, settings: dict[str, Any]) -> None:
        self.param_groups: list[dict[str, Any]] = []
        self._states: list[tuple[Group, FlatState]] = []  # with the group that it belongs to
        self._layout: list[tuple[list[Parameter], list[Any]]] = []
        self._defaults = settings
        self._initial_lrs: list[float] = []
        if isinstance(params, Parameter):
            raise TypeError(f"{self._name}: params is one Parameter, expected a list of them")
        items: list[Any] = list(params)
        if not items:
            raise ValueError(f"{self._name}: params is empty: there is nothing to train")
        if not isinstance(items[0], dict):
            items = [{"params": items}]
        for group in items:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters with their own settings, as ``{"params": [...], "lr": 1e-4}``."""
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f"{self._name}: a group is a dict with 'params', got {group!r}")
        given = group["params"]
        params = [given] if isinstance(given, Parameter) else list(given)
        settings = {name: value for name, value in group.items() if name != "params"}
        unknown = [name for name in settings if name not in self._defaults]
        if unknown:
            raise ValueError(f"{self._name}: unknown setting {unknown[0]!r} in a group")
        merged = self._checked({**self._defaults, **settings})
        known = {id(p) for existing in self.param_groups for p in existing["params"]}
        for parameter in params:
            if not isinstance(parameter, Parameter):
                raise TypeError(
                    f"{self._name}: params holds a {type(parameter).__name__}, expected "
                    "Parameters: pass model.parameters()"
                )
            if id(parameter) in known:
                raise ValueError(f"{self._name}: parameter {parameter!r} is given twice")
            known.add(id(parameter))
        self.param_groups.append({"params": params, **merged})

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings with numbers as floats; ValueError names one that is out of bounds,
        TypeError one that is neither True nor False."""
        numbers = {
            name: checks.real(self._name, name, settings[name], least, most)
            for name, (least, most) in self._bounds.items()
        }
        flags = {name: checks.flag(self._name, name, settings[name]) for name in self._flags}
        return {**settings, **numbers, **flags}

    def zero_grad(self) -> None:
        """Clear the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def parameters(self) -> list[Parameter]:
        """All parameters, group by group."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        if self._layout != self._present_layout():
            self._arrange({id(parameter): values for parameter, values in self._known()})
        for group, state in self._states:
            state.demand(self._state_arrays(group))
            for step, grads in state.due():
                self._update([p.data for p in state.parameters], grads, state.arrays, group, step)

    def _state_arrays(self, group: dict[str, Any]) -> dict[str, float]:
        """The state arrays that a group's parameters need, with their initial values."""
        raise NotImplementedError(f"{self._name} has no _state_arrays")

    def _update(self, params: Arrays, grads: Grads, state: State, group: Group, step: int) -> None:
        """Update in place the params that have a gradient, and their state; step counts from 1."""
        raise NotImplementedError(f"{self._name} has no _update")

    def _present_layout(self) -> list[tuple[list[Parameter], list[Any]]]:
        """Everything that the layout of the flat arrays depends on: the parameters of each group,
        and their dtypes."""
        groups = [group["params"] for group in self.param_groups]
        return [([*params], [p.data.dtype for p in params]) for params in groups]

    def _arrange(self, known: Mapping[int, Mapping[str, Any]]) -> None:
        """Create the flat arrays, with the known state of each parameter, by its id."""
        states = []
        for group in self.param_groups:
            for dtype in dict.fromkeys(p.dtype for p in group["params"]):
                state = FlatState([p for p in group["params"] if p.dtype == dtype])
                state.demand(self._state_arrays(group))
                for index, parameter in enumerate(state.parameters):
                    state.write(index, known.get(id(parameter), {}))
                states.append((group, state))
        self._states, self._layout = states, self._present_layout()

    def _known(self) -> Iterator[tuple[Parameter, dict[str, Any]]]:
        """The state of every parameter that has been updated, as views."""
        for _, state in self._states:
            yield from state.read()

    @property
    def lr(self) -> float:
        """The learning rate of the first group; assigning sets it in all groups."""
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        value = checks.real(self._name, "lr", value, 0.0)
        for group in self.param_groups:
            group["lr"] = value

    def initial_lrs(self, lrs: list[float] | None = None) -> list[float]:
        """The learning rate of each group before its first schedule, which all schedules start
        from; a schedule that chooses its own start gives it as `lrs`."""
        if lrs is not None:
            self._initial_lrs = list(lrs)
        new = self.param_groups[len(self._initial_lrs) :]
        self._initial_lrs += [group["lr"] for group in new]
        return list(self._initial_lrs)

    def state_dict(self) -> dict[str, Any]:
        """Settings and state as plain dicts, lists, numbers and copies of arrays.

        ``{"groups": [settings and the number of params, ...], "state": {index: state, ...}}``,
        where index counts the parameters over all groups.
        """
        groups = [
            {**{k: v for k, v in group.items() if k != "params"}, "params": len(group["params"])}
            for group in self.param_groups
        ]
        known = {id(parameter): values for parameter, values in self._known()}
        state = {
            index: copy.deepcopy(known[id(parameter)])
            for index, parameter in enumerate(self.parameters())
            if id(parameter) in known
        }
        return {"groups": groups, "state": state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict` of the same optimiser for the same model.

        ValueError if groups, names or shapes differ; nothing is changed then.
        """
        groups, loaded = self._check_state(state)
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update(settings)
        self._restore(loaded)

    def _restore(self, state: Mapping[int, Mapping[str, Any]]) -> None:
        parameters = self.parameters()
        self._arrange({id(parameters[index]): values for index, values in state.items()})

    def _check_state(
        self, state: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
        """(settings of each group, state of each parameter by index), all checked."""
        where = f"{self._name}.load_state_dict"
        if not isinstance(state, Mapping) or not {"groups", "state"} <= set(state):
            raise ValueError(f"{where}: expected a dict with 'groups' and 'state'")
        sizes = [group.get("params") for group in state["groups"]]
        expected = [len(group["params"]) for group in self.param_groups]
        if sizes != expected:
            raise ValueError(f"{where}: groups have {sizes} parameters, expected {expected}")
        groups = [
            {**self._later, **{k: v for k, v in g.items() if k != "params"}}
            for g in state["groups"]
        ]
        for settings in groups:
            if set(settings) != set(self._defaults):
                raise ValueError(
                    f"{where}: settings {sorted(settings)}, expected {sorted(self._defaults)}"
                )
        groups = [self._checked(settings) for settings in groups]
        group_of = [g for g, size in zip(groups, expected, strict=True) for _ in range(size)]
        parameters = self.parameters()
        loaded = {}
        for key, given in state["state"].items():
            index = int(key)
            if not 0 <= index < len(parameters):
                raise ValueError(f"{where}: state of parameter {index} of {len(parameters)}")
            names = self._state_arrays(group_of[index])
            what = f"{where}: state {index}"
            loaded[index] = _checked_state(what, parameters[index], names, given)
        return groups, loaded

    def __getstate__(self) -> dict[str, Any]:
        # Flat arrays depend on the identity of the parameters, which copies and pickles lose.
        return {**vars(self), "_states": self.state_dict()["state"], "_layout": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({"_initial_lrs": [], **state})
        for settings in (self._defaults, *self.param_groups):
            for name, value in self._later.items():
                settings.setdefault(name, value)
        self._restore(state["_states"])

    def __repr__(self) -> str:
        groups = (
            ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            + f", {len(group['params'])} parameters"
            for group in self.param_groups
        )
        return f"{self._name}({'; '.join(groups)})"


def _checked_state(
    what: str, parameter: Parameter, names: Iterable[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Copies of one parameter's state in its dtype; ValueError if an array is missing or unfit."""
    missing = {"step", *names} - set(given)
    if missing:
        raise ValueError(f"{what} has {sorted(given)}, and lacks {sorted(missing)}")
    state: dict[str, Any] = {"step": checks.integer(what, "step", given["step"])}
    for name in set(given) - {"step"}:
        checks.unmasked(what, name, given[name])
        array = np.asarray(given[name])
        if array.shape != parameter.shape or array.dtype.kind != "f":
            raise ValueError(
                f"{what}: {name} has shape {array.shape} and dtype {array.dtype}, expected floats "
                f"of shape {parameter.shape}"
            )
        state[name] = array.astype(parameter.dtype)
    return state
