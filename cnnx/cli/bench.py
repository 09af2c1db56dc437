"""``cnnx bench``: the speed of each op and each training step on this machine."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from cnnx import io, terminal
from cnnx.cli.arguments import add_command, integer, positive
from cnnx.cli.models import (
    add_input_shape,
    compiled,
    is_onnx,
    open_model,
    sample_shapes,
    samples,
)

__all__ = ["add", "run"]

_EXAMPLE = """\
  cnnx bench --quick                            a first overview, about a minute
  cnnx bench ops --filter conv2d --peers torch
  cnnx bench models --peers torch --json models.json
  cnnx bench memory --peers torch
  cnnx bench threads --quick
  cnnx bench busy --filter "lenet5 batch 64" --seconds 10
  cnnx bench --onnx net.onnx --peers onnxruntime,openvino"""


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    what = "benchmark ops and training steps, and compare the backends"
    parser = add_command(commands, "bench", run, what, _EXAMPLE)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("ops", "models", "all", "memory", "threads", "busy"),
        help="ops: single ops; models: training steps, inference and the convolutions in them; all:"
        " both; memory: peak memory of training steps; threads: training steps on one thread and on"
        " several; busy: the same beside processes that keep the cores busy (default: all)",
    )
    parser.add_argument(
        "--peers",
        action="append",
        type=_peers,
        metavar="NAMES",
        default=[],
        help="also measure other libraries: torch (pip install 'cnnx[peers]'), or with --onnx "
        "onnxruntime,openvino",
    )
    parser.add_argument(
        "--onnx",
        metavar="FILE",
        help="measure the network of an ONNX file: time, peak memory and differences of outputs, "
        "for one sample and for 32 if the file leaves the batch free",
    )
    add_input_shape(parser)
    parser.add_argument(
        "--filter", metavar="TEXT", help="only workloads with this text in their name"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one size of each, for a fifth of the time"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures to a JSON file")
    parser.add_argument(
        "--threads", type=integer(1, 1024), metavar="N", help="threads of cnnx and of the peers"
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        metavar="S",
        help="measuring time per row (default 2, with --onnx 10); more gives steadier results on a "
        "busy machine",
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print the table; returns the exit code."""
    from cnnx import bench

    args.peers = [name for names in args.peers for name in names]
    if args.onnx is not None:
        return _onnx(args)
    if args.input_shape is not None:
        raise ValueError("bench: --input-shape is for --onnx")
    if set(args.peers) - {"torch"}:
        raise ValueError(f"bench: {' and '.join(args.peers)} run ONNX files: give one with --onnx")
    args.what = args.what or "all"
    done, warned = 0, False

    def report(row: bench.Row | bench.MemoryRow) -> None:
        nonlocal done, warned
        done += 1
        reason = getattr(row, "busy", "")  # memory rows have no times
        if reason and not warned and sys.stderr is not None:
            warned = True
            over = "\r\033[K" if terminal.is_terminal(sys.stderr) else ""
            print(f"{over}the machine is busy: {reason}", file=sys.stderr)
        if terminal.is_terminal(sys.stderr):
            print(f"\r\033[Kmeasured {done}: {row.workload}", end="", file=sys.stderr, flush=True)

    try:
        if args.what == "memory":
            if args.seconds is not None:
                raise ValueError("bench: memory is counted, not timed: leave --seconds out")
            return _memory(args, report)
        asked = {name: vars(args)[name] for name in ("filter", "quick", "threads", "seconds")}
        if args.what == "threads" and args.peers:
            raise ValueError("bench: threads compares cnnx with itself: leave --peers out")
        if args.what == "threads":
            rows = bench.run_threads(**asked, report=report)
        elif args.what == "busy":
            rows = bench.run_busy(args.peers, **asked, report=report)
        else:
            rows = bench.run(args.what, peers=args.peers, **asked, report=report)
    finally:
        if done and terminal.is_terminal(sys.stderr):
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    print(bench.format_table(rows))
    if args.json is not None:
        bench.write_json(rows, args.json)
        print(f"\nthe figures are in {args.json}")
    return 0


def _memory(args: argparse.Namespace, report: Callable[[Any], None]) -> int:
    """Measure the memory of training steps, which does not depend on threads or timing."""
    from cnnx import bench

    rows = bench.run_memory(args.peers, args.filter, report)
    print(bench.format_memory(rows))
    if args.json is not None:
        bench.write_json(rows, args.json)
        print(f"\nthe figures are in {args.json}")
    return 0


def _onnx(args: argparse.Namespace) -> int:
    """Measure the network of an ONNX file."""
    from cnnx import bench

    if args.what is not None or args.filter is not None or args.quick:
        raise ValueError("bench: --onnx measures one network: leave ops, --filter, --quick ... out")
    if not is_onnx(args.onnx):
        raise ValueError(f"{args.onnx}: --onnx expects a file whose name ends in .onnx")
    bench.check_peers(args.peers)
    opened = open_model(args.onnx)
    shapes = sample_shapes(opened, args.input_shape)
    sizes = (1, 32) if opened.batch is None else (opened.batch,)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        plan = compiled(opened, shapes, sizes[0])
        path = os.path.join(folder, "plan.npz")
        plan.save(path)
        for size in sizes:
            xs = samples(opened, plan, size)
            inputs = dict(zip(plan.inputs, xs, strict=True))
            rows.append(
                bench.run_network(args.onnx, path, inputs, args.peers, args.threads, args.seconds)
            )
    print(bench.format_network(rows))
    if args.json is not None:
        text = json.dumps([dataclasses.asdict(row) for row in rows], indent=2)
        io.write_text_atomic(args.json, text + "\n")
        print(f"\nthe figures are in {args.json}")
    return 0


def _peers(text: str) -> list[str]:
    """argparse type: names out of those of other libraries, separated by commas."""
    known = ("torch", "onnxruntime", "openvino")
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is not known, expected {', '.join(known)}")
    return names
