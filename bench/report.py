"""Writes the tables of README.md and docs/ from the figures of `cnnx bench`, between two markers.

    cnnx bench models --filter train --peers torch --json models.json
    python bench/report.py models.json
    cnnx bench memory --peers torch --json memory.json
    python bench/report.py memory.json --page docs/performance.md

The text between the markers is replaced, so running it twice changes nothing, and no figure is ever
written by hand. Ratios are PyTorch's time divided by cnnx's: the median of alternating blocks with
its quartiles, against the faster of PyTorch's two memory formats and against NCHW, its default.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- begin of bench/report.py -->", "<!-- end of bench/report.py -->"
README = Path(__file__).resolve().parents[1] / "README.md"
BUSY = "(!)"
LAYOUTS = ("torch", "torch channels_last")
PYTORCH = ("PyTorch NCHW", "PyTorch channels_last")  # the same, as column titles
DIRECTIONS = ("conv2d ", "conv2d_backward ")

Figures = dict[str, Any]


def report(files: list[Figures]) -> str:
    """Markdown of all tables that the figures contain: training steps, convolutions, memory."""
    rows = [row for figures in files for row in figures.get("rows", ())]
    memory = [row for figures in files for row in figures.get("memory", ())]
    steps = [row for row in rows if row["workload"].startswith(("train ", "predict "))]
    layers = [row for row in rows if row["workload"].startswith(DIRECTIONS)]
    parts = [machine(files[0]["environment"], timed=bool(rows))]
    parts += [table(steps, "workload"), *warning(steps)] if steps else []
    parts += [table(layers, "convolution"), *warning(layers), means(layers)] if layers else []
    parts += [memory_table(memory)] if memory else []
    return "\n\n".join(parts)


def machine(environment: Figures, timed: bool) -> str:
    """The environment in which the figures were measured."""
    text = (
        f"Measured on {environment['processor']}, {environment['cores']} cores, "
        f"{environment['threads']} threads, kernel set "
        f"{environment.get('kernel set (ISA)', 'none')}, float32; cnnx {environment['cnnx']}, "
        f"numpy {environment['numpy']}, {environment.get('torch', 'without PyTorch')}."
    )
    units = (
        " Times are in milliseconds per call; ratios are PyTorch's time divided by cnnx's, "
        "median (quartiles)."
    )
    return text + units if timed else text


def table(rows: list[Figures], what: str) -> str:
    """One line per row: times, and ratios to the faster PyTorch layout and to NCHW."""
    titles = [what, "cnnx", *PYTORCH, "vs. faster PyTorch", "vs. NCHW"]
    lines = []
    for row in rows:
        times = row["milliseconds"]
        best = min(faster(row).values(), key=lambda spread: spread["median"], default=None)
        name = f"{row['workload']} {BUSY}" if row.get("busy") else row["workload"]
        cells = [name, number(next(iter(times.values())))]
        cells += [number(times.get(layout)) for layout in LAYOUTS]
        lines.append([*cells, ratio(best), ratio(row["faster"].get("torch"))])
    return markdown(titles, lines)


def warning(rows: list[Figures]) -> list[str]:
    """A note below a table that has rows measured on a busy machine."""
    busy = any(row.get("busy") for row in rows)
    return [f"{BUSY}: the machine was busy, these figures cannot be trusted."] if busy else []


def means(rows: list[Figures]) -> str:
    """Geometric mean of the ratios to the faster PyTorch layout per direction, without the rows
    that were measured on a busy machine.
    """
    found = {}
    for row in rows:
        op, _, size = row["workload"].partition(" ")
        kind = "weight gradient only" if size.endswith(" weight") else "both gradients"
        medians = [spread["median"] for spread in faster(row).values()]
        if medians and not row.get("busy"):
            found.setdefault("forward" if op == "conv2d" else kind, []).append(min(medians))
    means_of = {kind: math.exp(sum(map(math.log, n)) / len(n)) for kind, n in found.items()}
    text = ", ".join(f"{kind} {number(mean)}" for kind, mean in means_of.items())
    title = "Geometric means over the convolutions, against the faster PyTorch layout"
    return f"{title}: {text or '-'}."


def memory_table(rows: list[Figures]) -> str:
    """Peak memory of activations and scratch buffers in a training step."""
    titles = ["peak memory of a training step (MB)", "cnnx", *PYTORCH, "cnnx / lower PyTorch"]
    lines = []
    for row in rows:
        megabytes = {name: bytes_ / 1e6 for name, bytes_ in row["bytes"].items()}
        ours = next(iter(megabytes.values()))
        theirs = [megabytes[layout] for layout in LAYOUTS if layout in megabytes]
        share = f"{number(100 * ours / min(theirs))} %" if theirs else "-"
        cells = [number(megabytes.get(layout)) for layout in LAYOUTS]
        lines.append([row["workload"], number(ours), *cells, share])
    return markdown(titles, lines)


def faster(row: Figures) -> dict[str, Figures]:
    """The row's ratios to PyTorch, by layout."""
    return {layout: row["faster"][layout] for layout in LAYOUTS if layout in row["faster"]}


def ratio(spread: Figures | None) -> str:
    """Median and quartiles."""
    if spread is None:
        return "-"
    return f"{number(spread['median'])} ({number(spread['low'])}-{number(spread['high'])})"


def number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return "-"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 else str(value)


def markdown(titles: list[str], lines: list[list[str]]) -> str:
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def written(page: str, tables: str) -> str:
    """The page with the tables between its markers. ValueError unless it has one pair of them."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"report: the page needs one line {BEGIN} and, below it, one {END}")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables}\n{END}{rest.partition(END)[2]}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("figures", nargs="+", type=Path, help="files written by cnnx bench --json")
    parser.add_argument("--page", type=Path, default=README, help="file to update (README.md)")
    given = parser.parse_args(arguments)
    files = [json.loads(path.read_text(encoding="utf-8")) for path in given.figures]
    page = written(given.page.read_text(encoding="utf-8"), report(files))
    given.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
