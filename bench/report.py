"""Writes the tables of the README from the figures of `cnnx bench`, between two marker comments.

    cnnx bench models --peers torch --json models.json
    cnnx bench memory --peers torch --json memory.json
    python bench/report.py models.json memory.json

Whatever stands between the markers is replaced, so running it twice changes nothing, and no figure
is ever written by hand. Ratios are PyTorch's time over cnnx's: the median of alternating blocks
with its quartiles, against the faster of PyTorch's two memory formats and against
NCHW, its default.
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
WAYS = ("torch", "torch channels_last")
DIRECTIONS = ("conv2d ", "conv2d_backward ")

Figures = dict[str, Any]


def report(files: list[Figures]) -> str:
    """Markdown of all tables that the figures give: steps, convolutions, memory."""
    rows = [row for figures in files for row in figures.get("rows", ())]
    memory = [row for figures in files for row in figures.get("memory", ())]
    steps = [row for row in rows if row["workload"].startswith(("train ", "predict "))]
    layers = [row for row in rows if row["workload"].startswith(DIRECTIONS)]
    parts = [machine(files[0]["environment"])]
    parts += [table(steps, "work"), *warning(steps)] if steps else []
    parts += [table(layers, "convolution"), *warning(layers), means(layers)] if layers else []
    parts += [memory_table(memory)] if memory else []
    return "\n\n".join(parts)


def machine(environment: Figures) -> str:
    """What the figures hold for."""
    return (
        f"Measured on {environment['processor']}, {environment['cores']} cores, "
        f"{environment['threads']} threads, kernel set "
        f"{environment.get('kernel set (ISA)', 'none')}, float32; cnnx {environment['cnnx']}, "
        f"numpy {environment['numpy']}, {environment.get('torch', 'without PyTorch')}. "
        "Milliseconds of one call, and how many times faster cnnx is (quartiles)."
    )


def table(rows: list[Figures], what: str) -> str:
    """A line for each row: times, and ratios to the best way of PyTorch and to NCHW."""
    titles = [what, "cnnx", "PyTorch NCHW", "channels_last", "x best PyTorch", "x NCHW"]
    lines = []
    for row in rows:
        times = row["milliseconds"]
        best = min(faster(row).values(), key=lambda spread: spread["median"], default=None)
        name = f"{row['workload']} {BUSY}" if row.get("busy") else row["workload"]
        cells = [name, number(next(iter(times.values())))]
        cells += [number(times.get(way)) for way in WAYS]
        lines.append([*cells, ratio(best), ratio(row["faster"].get("torch"))])
    return markdown(titles, lines)


def warning(rows: list[Figures]) -> list[str]:
    """A line below a table with rows of a busy machine."""
    busy = any(row.get("busy") for row in rows)
    return [f"{BUSY}: the machine was busy, these figures can not be trusted."] if busy else []


def means(rows: list[Figures]) -> str:
    """Geometric means of the ratios to the best way of PyTorch, for each direction, without the
    rows of a busy machine.
    """
    found = {}
    for row in rows:
        op, _, size = row["workload"].partition(" ")
        kind = "weight" if size.endswith(" weight") else "data and weight"
        medians = [spread["median"] for spread in faster(row).values()]
        if medians and not row.get("busy"):
            found.setdefault("forward" if op == "conv2d" else kind, []).append(min(medians))
    means_of = {kind: math.exp(sum(map(math.log, n)) / len(n)) for kind, n in found.items()}
    text = ", ".join(f"{kind} {number(mean)}" for kind, mean in means_of.items())
    return f"Geometric means over the convolutions, against the best PyTorch: {text or '-'}."


def memory_table(rows: list[Figures]) -> str:
    """The most memory that activations and scratch take in a training step."""
    titles = [
        "most memory in a step (MB)",
        "cnnx",
        "PyTorch NCHW",
        "channels_last",
        "of PyTorch's least",
    ]
    lines = []
    for row in rows:
        megabytes = {name: bytes_ / 1e6 for name, bytes_ in row["bytes"].items()}
        ours = next(iter(megabytes.values()))
        theirs = [megabytes[way] for way in WAYS if way in megabytes]
        share = f"{number(100 * ours / min(theirs))} %" if theirs else "-"
        cells = [number(megabytes.get(way)) for way in WAYS]
        lines.append([row["workload"], number(ours), *cells, share])
    return markdown(titles, lines)


def faster(row: Figures) -> dict[str, Figures]:
    """The row's ratios to PyTorch, by way."""
    return {way: row["faster"][way] for way in WAYS if way in row["faster"]}


def ratio(spread: Figures | None) -> str:
    """Median and quartiles."""
    if spread is None:
        return "-"
    return f"{number(spread['median'])} ({number(spread['low'])}-{number(spread['high'])})"


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return "-"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 else str(value)


def markdown(titles: list[str], lines: list[list[str]]) -> str:
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def written(readme: str, tables: str) -> str:
    """The README with the tables between its markers. ValueError if it has not one pair of them."""
    if (
        readme.count(BEGIN) != 1
        or readme.count(END) != 1
        or readme.index(BEGIN) > readme.index(END)
    ):
        raise ValueError(f"report: the README needs one line {BEGIN} and, below it, one {END}")
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables}\n{END}{rest.partition(END)[2]}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("figures", nargs="+", type=Path, help="files of cnnx bench --json")
    parser.add_argument("--readme", type=Path, default=README)
    given = parser.parse_args(arguments)
    files = [json.loads(path.read_text(encoding="utf-8")) for path in given.figures]
    readme = written(given.readme.read_text(encoding="utf-8"), report(files))
    given.readme.write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    main()
