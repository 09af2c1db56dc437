"""`History`: a table of epochs, and its CSV file."""

from __future__ import annotations

import pickle

import pytest

from cnnx.history import History

ROWS = [
    {"epoch": 1, "loss": 0.1 + 0.2, "accuracy": 1 / 3},
    {"epoch": 2, "loss": float("inf"), "accuracy": 1.0},
]


def test_a_history_is_a_table():
    history = History(ROWS)
    assert history["loss"] == [0.1 + 0.2, float("inf")]
    assert history[-1] == ROWS[1]
    assert len(history) == 2
    assert list(history) == ROWS
    assert "accuracy" in history
    assert dict(history) == {
        "epoch": [1, 2],
        "loss": [0.1 + 0.2, float("inf")],
        "accuracy": [1 / 3, 1.0],
    }
    lines = repr(history).splitlines()
    assert len(lines) == 3
    assert lines[0].split() == ["epoch", "loss", "accuracy"]
    assert len({len(line) for line in lines}) == 1
    assert pickle.loads(pickle.dumps(history)) == history
    with pytest.raises(KeyError, match="val_loss"):
        history["val_loss"]
    with pytest.raises(ValueError, match="columns"):
        history.append({"epoch": 3})


def test_a_history_survives_csv_without_losing_a_digit(tmp_path):
    path = tmp_path / "history.csv"
    History(ROWS).to_csv(path)
    assert path.read_text().splitlines()[0] == "epoch,loss,accuracy"
    assert History.from_csv(path) == History(ROWS)
    History().to_csv(path)
    assert History.from_csv(path) == History()


@pytest.mark.parametrize("content", [b"a,b\n1\n", b"a,b\n1,x\n", b"\xff\xfe\x00"])
def test_a_csv_of_another_kind_is_named(tmp_path, content):
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"history\.csv"):
        History.from_csv(path)
