"""`compile` and `Plan`: a trained network, prepared for predictions."""

# Design:
# A plan has the graph after passes 1 and 2, and a few programs: the result of the other passes for
# certain shapes, dtypes, values of scalars, kernel set and algorithm of convolutions. The reference
# backend computes the steps that `cnnx.graph.rewrite` makes of the graph for any shape.
# The dictionary of programs is replaced, never changed, so a thread reads it without a lock.

from __future__ import annotations

import _thread  # not threading, of which only the lock is used, and which takes a ms to import
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import checks
from cnnx.backends.choose import preferring, wanted_algorithm
from cnnx.config import backend
from cnnx.engine.groups import Groups, group_size, grouped, one_group
from cnnx.engine.inputs import Shape, given_inputs, listed, numbered, text
from cnnx.engine.program import Program
from cnnx.graph import run
from cnnx.graph.graph import Graph
from cnnx.graph.rewrite import rewrite
from cnnx.layers.base import Layer
from cnnx.layers.dtype import as_float
from cnnx.layers.run import no_grad, run_mode

if TYPE_CHECKING:
    from cnnx.engine.report import Profile
    from cnnx.engine.tune import Choices
    from cnnx.graph.run import Plan as Steps

__all__ = ["Plan", "compile"]

_MOST_PROGRAMS = 8  # kept: of the shapes used last
_MOST_VALUES = 4  # of the scalars that choose a branch


def compile(model: Layer, input_shape: Any, batch: int | None = None, tune: bool = False) -> Plan:
    """Prepare a network for predictions: y = plan(x) are the outputs of the model in eval mode.

    model        any layer; it is copied, so training it later does not change the plan
    input_shape  of one sample, as in `summary`: (3, 32, 32), or 64 for features. Of several inputs
                 a list of shapes, or {name: whole shape}, in order, which names them: with the
                 batch axis, if it has one. In a dict an input may be a scalar, of shape (), and
                 inputs may have different first axes, as the state of a recurrent network has
    batch        prepare for batches of so many samples now; None: at the first call. With a dict,
                 the shapes say it; if there are scalars, whose values may choose between branches,
                 it is prepared at the first call
    tune         True: measure for each convolution which algorithm is the fastest here, on as many
                 threads as are in use, for the shapes that `batch` or the dict says. The plan and
                 its file keep what was faster than the usual choice; `explain` shows it. A machine
                 with other kernels ignores it

    Layers without effect are removed, batch norm becomes part of the weights before it,
    activations, sums and pooling are fused with the layer before them, all weights are packed, and
    all values between the layers are placed in one piece of memory. Outputs differ from the model's
    by rounding errors only; they are bit-identical for any number of threads.

    TypeError if model is not a layer; ValueError for shapes that the model does not accept, and for
    `tune` without a batch; RuntimeError for it if the compiled backend is not in use.

    Example::

        plan = cnnx.compile(cnnx.models.resnet20(), (3, 32, 32), batch=1)
        logits = plan(np.zeros((1, 3, 32, 32), np.float32))
    """
    # Imported here, as `report` further down: a program that loads a plan needs none of them.
    from cnnx.engine.fold import fold
    from cnnx.engine.graphs import flat_copy
    from cnnx.engine.simplify import simplify

    if not isinstance(model, Layer):
        raise TypeError(f"compile: model is a {type(model).__name__}, expected a layer")
    names, shapes, batches = given_inputs(model, input_shape, batch)
    common = isinstance(batches, int | None) or len({shape[:1] or None for shape in batches}) == 1
    try:
        given = flat_copy(model, shapes)
        simplified = simplify(given)
        folded = fold(simplified)
    except ValueError as error:
        raise ValueError(f"compile: input_shape {listed(shapes)} does not fit: {error}") from error
    folded.preprocessing = model.preprocessing
    history = [("all layers", given), ("simplify", simplified), ("fold", folded)]
    passes = [(name, len(graph.wiring().nodes)) for name, graph in history]
    plan = Plan(folded, names, passes, None if common else batches)
    known = isinstance(batches, int) or (batches is not None and all(batches))
    if checks.flag("compile", "tune", tune):
        if not known:
            raise ValueError("compile: tune=True needs batch=, or whole shapes without scalars")
        plan.tune(batches)
    elif known:
        plan.prepare(batches)
    return plan


class Plan:
    """A network prepared for predictions, made by `cnnx.compile` or `cnnx.load_plan`.

    inputs, outputs  their names: "x" and "y"; if there are several "x0", "x1", ...
    input_shapes     of one sample of each input
    whole_shapes     None, or if the inputs have no common batch axis, their shapes in `compile`
    preprocessing    that of the model, or None: how its input was prepared in training

    ``plan(x)`` returns an array, or a tuple if there are several outputs; with several inputs
    ``plan(x0, x1)``. Any number of threads may call it at the same time. Batches of another size,
    or images of another size where the network accepts them, are prepared at their first call; the
    last few are kept. x is cast to the dtype of the weights. ValueError for a shape that does not
    fit, TypeError for arrays that are not real numbers.

    Where the compiled backend is missing or not in use, the reference backend computes the same
    steps.
    """

    def __init__(
        self,
        graph: Graph,
        names: Sequence[str],
        history: Sequence[tuple[str, int]],
        whole_shapes: tuple[Shape, ...] | None = None,
    ) -> None:
        wiring = graph.wiring()
        self.graph, self.history = graph, tuple(history)
        self.input_shapes, self.preprocessing = graph.input_shapes, graph.preprocessing
        self.inputs, self.whole_shapes = tuple(names), whole_shapes
        self._described_shapes = whole_shapes or [("n", *shape) for shape in self.input_shapes]
        self.outputs = numbered("y", len(wiring.outputs))
        self.steps = rewrite(wiring, keeping=False)
        self._settles = any(node.layer._settles for node in wiring.nodes)
        self._choosing: tuple[int, ...] = ()  # the scalars whose values a program is for
        if self._settles and whole_shapes is not None:
            from cnnx.engine.settle import choosing

            scalars = [i for i, shape in enumerate(whole_shapes) if not shape]
            self._choosing = choosing(wiring, scalars)
        parameters = graph.parameters()
        self.dtype = parameters[0].dtype if parameters else None
        readers = [
            [node.layer for node in wiring.nodes if i in node.inputs] for i in range(wiring.inputs)
        ]
        self._integers = [any(layer._takes_integers for layer in each) for each in readers]
        self._usual = [
            (None if integers else self.dtype, len(shape))
            for integers, shape in zip(self._integers, self._described_shapes, strict=True)
        ]
        self.choices: Choices = {}
        self.tuned_on = ""  # the kernels for which they were measured
        self._programs: dict[Any, Program | Groups] = {}
        self._lock = _thread.allocate_lock()

    def __call__(self, *xs: Any) -> Any:
        if len(xs) != len(self.inputs):
            raise TypeError(f"plan: {len(xs)} inputs given, expected {len(self.inputs)}")
        arrays = [self._checked(i, x) for i, x in enumerate(xs)]
        outputs = self._compute(arrays)
        return outputs[0] if len(outputs) == 1 else outputs

    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The outputs by name, from the inputs by name. ValueError for other names.

        Example: ``plan.run({"x": x})["y"]``
        """
        if not isinstance(inputs, Mapping):
            raise TypeError(f"plan.run: inputs is a {type(inputs).__name__}, expected a dict")
        if set(inputs) != set(self.inputs):
            raise ValueError(
                f"plan.run: inputs are named {', '.join(map(repr, inputs)) or 'nothing'}, expected "
                f"{', '.join(map(repr, self.inputs))}"
            )
        arrays = [self._checked(i, inputs[name]) for i, name in enumerate(self.inputs)]
        return dict(zip(self.outputs, self._compute(arrays), strict=True))

    def prepare(self, batch: int | Sequence[Shape]) -> None:
        """Make the program for a batch size now, not at the first call.

        batch  a number of samples, or the whole shape of each input. Does nothing on the reference
               backend

        Example: ``plan.prepare(32)``
        """
        self._program(self._zeros(batch))

    def tune(self, batch: int | Sequence[Shape]) -> None:
        """Measure the algorithms of the convolutions, as ``compile(tune=True)`` does.

        batch  as for `prepare`: what is faster for these shapes is used for them only

        RuntimeError if the compiled backend is not in use.

        Example: ``plan.tune(1)``
        """
        from cnnx.engine.tune import tune

        computes, zeros = backend(), self._zeros(batch)
        jobs = getattr(computes, "jobs", None)
        if jobs is None:
            raise RuntimeError("plan.tune: the compiled backend is not in use: nothing to choose")
        kept = self.choices if self.tuned_on == computes.isa() else {}
        made = self._made(zeros, jobs)
        if isinstance(made, Groups):
            zeros = [x[: made.program.batch] for x in zeros]
        found = tune(lambda: self._one(zeros, jobs), zeros)
        with self._lock:
            self.choices, self.tuned_on = {**kept, **found}, computes.isa()
            self._programs = {}
        self.prepare(batch)

    # -- what it is ----------------------------------------------------------------------------

    def explain(self, batch: int | None = None) -> str:
        """What each pass left, and the steps: their layers, how they are computed, output shapes.

        batch  None: that of the program used last, or 1

        Example: ``print(plan.explain())``
        """
        from cnnx.engine import report

        described = self._described(batch)
        text = report.explain(self.history, one_group(described))
        if isinstance(described, Groups):
            text += f"\n\n{described}"
        return text + report.choices(self.choices, self.tuned_on)

    def memory(self, batch: int | None = None) -> str:
        """The arena: for each value its place, its size, and the steps between which it lives.

        Example: ``print(plan.memory())``
        """
        from cnnx.engine import report

        return report.memory(one_group(self._described(batch)))

    def profile(self, *xs: Any, repeat: int = 20) -> Profile:
        """A row for each step with its median time, GFLOP/s and GB/s; it prints as a table.

        xs      the inputs, as in a call; of a batch that runs in groups the first one is measured
        repeat  how many runs

        Example: ``print(plan.profile(x))``
        """
        repeat = checks.integer("plan.profile", "repeat", repeat, least=1)
        if len(xs) != len(self.inputs):
            raise TypeError(f"plan.profile: {len(xs)} inputs given, expected {len(self.inputs)}")
        arrays = [self._checked(i, x) for i, x in enumerate(xs)]
        found = self._program(arrays)
        if found is None:
            raise RuntimeError("plan.profile: the compiled backend is not in use")
        program = one_group(found)
        if isinstance(found, Groups):
            arrays = [x[: program.batch] for x in arrays]
        program.times(arrays)  # once, for the caches
        seconds = np.median([program.times(arrays) for _ in range(repeat)], axis=0)
        from cnnx.engine import report

        return report.profile(program, seconds.tolist())

    def save(self, path: Any) -> None:
        """Write the plan to a file, or a binary file object; see `cnnx.load_plan`.

        Example: ``plan.save("net.npz")``
        """
        from cnnx.engine import files

        files.save_plan(self, path)

    def __reduce__(self) -> tuple[Any, ...]:
        """A plan is pickled as its file, so that other processes can run it; not its programs."""
        from cnnx.engine import files

        return files.unpickled, (files.content(self), files.user_classes(self))

    def __repr__(self) -> str:
        shapes = ", ".join(
            f"{name} {text(shape)}"
            for name, shape in zip(self.inputs, self._described_shapes, strict=True)
        )
        return f"Plan({shapes}: {len(self.steps.steps)} steps)"

    # -- shapes and programs -------------------------------------------------------------------

    def _checked(self, i: int, x: Any) -> np.ndarray:
        """Input i as a contiguous array of the plan's dtype."""
        if type(x) is np.ndarray and (x.dtype, x.ndim) == self._usual[i] and x.flags.carray:
            return x
        name, shape = self.inputs[i], self._described_shapes[i]
        x = x if self._integers[i] else as_float(f"plan: {name}", x, self.dtype)
        x = np.require(x, requirements=("C", "ALIGNED"))
        if x.ndim != len(shape):
            raise ValueError(f"plan: {name} has shape {x.shape}, expected {text(shape)}")
        return x

    def _compute(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        program = self._program(arrays)
        if program is not None:
            return program.run(arrays)
        with no_grad(), run_mode(training=False):
            outputs, _ = run.forward(self.steps, tuple(arrays), False)
        shared = [any(np.may_share_memory(y, x) for x in arrays) for y in outputs]
        return tuple([y.copy() if copy else y for y, copy in zip(outputs, shared, strict=True)])

    def _program(self, arrays: Sequence[np.ndarray]) -> Program | Groups | None:
        """For inputs of these shapes; None if the compiled backend is not in use."""
        computes = backend()
        jobs = getattr(computes, "jobs", None)
        if jobs is None:
            return None
        program = self._programs.get(self._key(arrays, computes))
        if program is None:
            with self._lock:
                if len({key[-1] for key in self._programs}) >= _MOST_VALUES:
                    self._choosing = ()  # no few values: a branch is then chosen in each call
                key = self._key(arrays, computes)
                program = self._programs.get(key)
                if program is None:
                    zeros = [np.zeros(x.shape, x.dtype) if x.ndim else x for x in arrays]
                    program = self._made(zeros, jobs)
                    kept = list(self._programs.items())[1 - _MOST_PROGRAMS :]
                    self._programs = dict([*kept, (key, program)])
        return program

    def _key(self, arrays: Sequence[np.ndarray], computes: Any) -> Any:
        """What a program is for."""
        shapes = tuple([(x.shape, x.dtype.char) for x in arrays])
        values = tuple([arrays[i].tobytes() for i in self._choosing]) if self._choosing else ()
        return shapes, computes.isa(), wanted_algorithm.get(), values

    def _one(self, zeros: Sequence[np.ndarray], jobs: Any) -> Program:
        steps = self._settled(zeros) if self._settles else self.steps
        return Program(steps, zeros, jobs)

    def _made(self, zeros: list[np.ndarray], jobs: Any) -> Program | Groups:
        batches = {len(x) if x.ndim else 0 for x in zeros}
        batch = batches.pop() if len(batches) == 1 else 0  # 0: they have none in common

        def make(samples: int) -> Program:
            return self._one([x[:samples] for x in zeros] if batch else zeros, jobs)

        weights = sum(parameter.data.nbytes for parameter in self.graph.parameters())
        try:
            usual = cache(make)
            size = group_size(usual, batch, weights)  # the same, whatever was measured
            if not self.choices or backend().isa() != self.tuned_on:
                return grouped(usual, batch, size)
            with preferring(self.choices.get):
                return grouped(make, batch, size)
        except ValueError as error:
            shapes = tuple([x.shape for x in zeros])
            raise ValueError(
                f"plan: the network does not accept inputs of shape {listed(shapes)}, it was "
                f"compiled for {self._made_for()}: {error}"
            ) from error

    def _settled(self, zeros: Sequence[np.ndarray]) -> Steps:
        """The steps for these shapes, and these values of the scalars that choose a branch."""
        from cnnx.engine.settle import settle

        return rewrite(settle(self.graph.wiring(), zeros, self._choosing), keeping=False)

    def _made_for(self) -> str:
        if self.whole_shapes is not None:
            return listed(self.whole_shapes)
        return f"samples of {listed(self.input_shapes)}"

    def _zeros(self, batch: int | Sequence[Shape]) -> list[np.ndarray]:
        if isinstance(batch, Sequence):
            shapes = list(batch)
        elif self.whole_shapes is not None:
            raise ValueError(
                f"plan: batch={batch}, but its inputs have no common batch axis: prepare takes the "
                f"whole shape of each, such as {list(self.whole_shapes)}"
            )
        else:
            size = checks.integer("plan", "batch", batch, least=1)
            shapes = [(size, *shape) for shape in self.input_shapes]
        dtypes = [
            np.dtype(np.int64) if integers else self.dtype or np.dtype(np.float32)
            for integers in self._integers
        ]
        return [np.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]

    def _described(self, batch: int | None) -> Program | Groups:
        """The program for `explain` and `memory`."""
        programs = list(self._programs.values())
        if batch is None and programs:
            return programs[-1]
        wanted = (self.whole_shapes or 1) if batch is None else batch
        program = self._program(self._zeros(wanted))
        if program is None:
            raise RuntimeError("plan: the compiled backend is not in use: nothing is prepared")
        return program
