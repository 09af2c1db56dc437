"""``cnnx profile``: where the time of a prediction goes, step by step."""

from __future__ import annotations

import argparse
from typing import Any

from cnnx import config
from cnnx.cli.arguments import add_command, add_machine, integer
from cnnx.cli.models import MODEL, add_input_shape, compiled, open_model, sample_shapes, samples

__all__ = ["add", "run"]

_EXAMPLE = """\
  cnnx profile net.onnx
  cnnx profile net.onnx --batch 32 --threads 1
  cnnx profile model.npz --input-shape 1x28x28

Each line is a step of the plan that cnnx.compile makes of the model, with its median time."""


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    what = "time each step of a prediction"
    parser = add_command(commands, "profile", run, what, _EXAMPLE)
    parser.add_argument("model", metavar="MODEL", help=MODEL)
    parser.add_argument(
        "--batch", type=integer(1), default=1, metavar="N", help="samples at a time (default: 1)"
    )
    parser.add_argument(
        "--repeat", type=integer(1), default=20, metavar="N", help="runs (default: 20)"
    )
    add_input_shape(parser)
    add_machine(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print; returns the exit code."""
    if config.get_backend() != "compiled":
        raise ValueError("steps are timed on the compiled backend, which is not in use: cnnx info")
    opened = open_model(args.model)
    if opened.at_most(args.batch) != args.batch:
        raise ValueError(f"{opened.path} takes one sample at a time: leave --batch out")
    shapes = sample_shapes(opened, args.input_shape)
    plan = compiled(opened, shapes, args.batch)
    print(plan.profile(*samples(opened, plan, args.batch), repeat=args.repeat))
    return 0
