"""`cnnx runs`: the table of runs, whatever is in their directories."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cli_helpers import failure

import cnnx
from cnnx.cli import main

pytestmark = pytest.mark.usefixtures("own_directory")


def make(name, result, scores=(), column="val_accuracy", **changed):
    """A directory as `cnnx train` leaves it."""
    place = Path("runs", name)
    place.mkdir(parents=True)
    settings = {"data": {"source": "/home/me/photos"}, "model": "mlp", "epochs": 3}
    (place / "run.json").write_text(json.dumps({**settings, "result": result, **changed}))
    if scores:
        history = cnnx.History([{"epoch": k, column: s} for k, s in enumerate(scores, 1)])
        history.to_csv(place / "history.csv")


def table(capsys, *words):
    assert main(["runs", *words]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_runs_are_listed_in_order_with_best_and_last_score(capsys):
    make("a-10", {"finished": True, "seconds": 12.34}, [0.5, 0.9, 0.8])
    make("a-2", {"finished": False, "seconds": 4}, [3.0, 1.5], "val_loss")
    make("b-1", None)
    Path("runs/notes.txt").write_text("mine")
    head, *rows = table(capsys)
    assert head == ["run", "data", "model", "epochs", "best", "last", "time", "state"]
    assert [" ".join(row) for row in rows] == [
        "a-2 photos mlp 2/3 1.5000 1.5000 4.0 s interrupted",
        "a-10 photos mlp 3/3 90.00 % 80.00 % 12.3 s finished",
        "b-1 photos mlp 0/3 interrupted",
    ]


def test_a_damaged_run_is_a_line(capsys):
    done = {"finished": True, "seconds": 1}
    make("good-1", done, [0.5])
    make("history-1", done)
    make("result-1", {"finished": True}, [0.5])
    make("list-1", [1], [0.5])
    make("model-1", done, [0.5], model=3)
    for name, text in {"text": "{", "array": "[]", "null": "null"}.items():
        os.mkdir(f"runs/{name}-1")
        Path(f"runs/{name}-1/run.json").write_text(text)
    os.mkdir("runs/empty-1")
    rows = {row[0]: row for row in table(capsys, "runs")[1:]}
    assert len(rows) == 9 and rows.pop("good-1")[-1] == "finished"
    assert all(row[1] == "damaged:" for row in rows.values())
    assert rows["empty-1"][-1] == "run.json" and rows["history-1"][-1] == "history.csv"


def test_without_runs_it_says_so(capsys):
    assert "runs: No such file" in failure(capsys, "runs")
    os.mkdir("runs")
    assert main(["runs"]) == 0
    assert "runs contains no runs" in capsys.readouterr().out
