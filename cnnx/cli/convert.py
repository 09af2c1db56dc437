"""``cnnx convert``: a model in another kind of file."""

from __future__ import annotations

import argparse
import errno
import os
from typing import Any

from cnnx import config, io
from cnnx.cli.arguments import add_command, integer
from cnnx.cli.console import printable, warn
from cnnx.cli.data import count
from cnnx.cli.models import (
    MODEL,
    Opened,
    add_input_shape,
    compiled,
    is_onnx,
    open_model,
    sample_shapes,
)
from cnnx.cli.preparing import add_preparation, preprocessing_of, says_something
from cnnx.cli.runs import read_settings
from cnnx.engine import Plan
from cnnx.graph.graph import Graph

__all__ = ["add", "run"]

_EXAMPLE = """\
  cnnx convert net.onnx net.npz                 a model, for cnnx.load
  cnnx convert net.onnx plan.npz --plan         a plan, for cnnx.load_plan
  cnnx convert net.onnx plan.npz --plan --tune --threads 1
  cnnx convert net.onnx cats.npz --size 32 --mean 0.5 --std 0.25 --labels names.txt
  cnnx convert runs/digits-1 digits.onnx
  cnnx convert model.npz lenet5.onnx --input-shape 1x28x28 --opset 18

A model can be trained further; a plan is smaller and for predictions only. Both are read without
the package onnx, and store how images become inputs, which an ONNX file does not. --tune measures
which algorithm of each convolution is faster: on the machine of the predictions, at rest, with as
many threads."""


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    what = "write a model as another kind of file: model, plan or ONNX"
    parser = add_command(commands, "convert", run, what, _EXAMPLE)
    parser.add_argument("model", metavar="MODEL", help=MODEL)
    parser.add_argument("target", metavar="TARGET", help="the new file: .npz or .onnx")
    parser.add_argument(
        "--plan", action="store_true", help="write a plan (cnnx.load_plan) instead of a model"
    )
    parser.add_argument(
        "--tune",
        action="store_true",
        help="measure the algorithms of convolutions, and keep the faster ones in the plan",
    )
    parser.add_argument(
        "--batch", type=integer(1), metavar="N", help="samples at a time, for --tune (default: 1)"
    )
    parser.add_argument(
        "--threads", type=integer(1, 1024), metavar="N", help="for --tune (default: all cores)"
    )
    parser.add_argument(
        "--opset",
        type=integer(17),
        metavar="N",
        help="version of the operators of an ONNX file (default: 17)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing TARGET")
    add_input_shape(parser)
    add_preparation(parser)
    # The other options of images, which belong to a prediction.
    parser.set_defaults(layout=None, background=None, resize=False, invert=False)


def run(args: argparse.Namespace) -> int:
    """Convert; returns the exit code."""
    _check(args)
    opened = open_model(args.model)
    if says_something(args):
        settings = read_settings(opened.path)
        opened.model.preprocessing = preprocessing_of(opened, settings, args)
    with io.atomic_write(args.target, new=not args.overwrite) as file:
        what = _write(opened, args, file)
    if is_onnx(args.target) and opened.model.preprocessing is not None:
        warn("convert", "an ONNX file does not say how images become inputs: see cnnx info")
    size = os.path.getsize(args.target)
    print(f"{printable(args.target)}: {what}, {size:,} bytes")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Whatever is wrong with the target, before any work."""
    to_onnx = is_onnx(args.target)
    if not to_onnx and not args.target.lower().endswith(".npz"):
        raise ValueError(f"{args.target}: the name of the new file must end in .npz or .onnx")
    if to_onnx and args.plan:
        raise ValueError(f"{args.target}: a plan is an .npz file")
    if args.tune and not args.plan:
        raise ValueError(f"{args.target}: --tune is for plans: give --plan, too")
    for flag, value in (("--batch", args.batch), ("--threads", args.threads)):
        if value is not None and not args.tune:
            raise ValueError(f"{args.target}: {flag} is for --tune")
    if args.tune and config.get_backend() != "compiled":
        raise ValueError("--tune measures the compiled backend, which is not in use: cnnx info")
    if to_onnx and says_something(args):
        raise ValueError(
            f"{args.target}: an ONNX file has no place for --mean, --std, --size and --labels"
        )
    if not to_onnx and args.opset is not None:
        raise ValueError(f"{args.target}: --opset is for ONNX files")
    if args.input_shape is not None and not (to_onnx or args.plan):
        raise ValueError(f"{args.target}: --input-shape is for plans and ONNX files")
    if os.path.lexists(args.target) and not args.overwrite:
        raise FileExistsError(errno.EEXIST, "already exists: --overwrite replaces it", args.target)


def _write(opened: Opened, args: argparse.Namespace, file: Any) -> str:
    """Write the new file; returns what it is."""
    if is_onnx(args.target):
        from cnnx import onnx

        shapes = sample_shapes(opened, args.input_shape)
        # A layer of one input takes its shape, not a list of one.
        given = shapes if isinstance(opened.model, Graph) else shapes[0]
        onnx.save(opened.model, file, given, opset=args.opset or 17)
        return f"ONNX, opset {args.opset or 17}"
    if args.plan:
        plan = _plan(opened, args)
        plan.save(file)
        return f"a plan of {len(plan.steps.steps)} steps{_choices(plan) if args.tune else ''}"
    opened.model.save(file)
    return f"a model of {sum(p.size for p in opened.model.parameters()):,} parameters"


def _plan(opened: Opened, args: argparse.Namespace) -> Plan:
    batch = args.batch or 1
    if opened.at_most(batch) != batch:
        raise ValueError(f"{opened.path} takes one sample at a time: leave --batch out")
    plan = compiled(opened, sample_shapes(opened, args.input_shape), batch)
    if args.tune:
        plan.tune(batch)
    return plan


def _choices(plan: Plan) -> str:
    """What `tune` found, as text."""
    if not plan.choices:
        return ", of which no convolution is faster by another algorithm"
    found = count(len(plan.choices), "convolution", "convolutions")
    return f", another algorithm for {found} on {plan.tuned_on}"
