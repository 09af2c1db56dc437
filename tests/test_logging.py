"""What cnnx writes to `logging.getLogger("cnnx")`, and that it prints nothing there by itself."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
from training_helpers import blobs

import cnnx
from cnnx import Linear, ReLU, Sequential


def net():
    cnnx.manual_seed(0)
    return Sequential(Linear(2, 8), ReLU(), Linear(8, 3))


@pytest.fixture
def records(caplog):
    caplog.set_level(logging.DEBUG, logger="cnnx")

    def found(topic, level=logging.INFO):
        return [
            record.getMessage()
            for record in caplog.records
            if record.name == f"cnnx.{topic}" and record.levelno == level
        ]

    return found


def test_a_training_is_logged_from_begin_to_end(records):
    cnnx.fit(net(), blobs(60), epochs=2, batch_size=20, seed=0, verbose=False)
    begin, end = records("training")
    assert begin.startswith("training begins: 2 epochs of 3 batches, 51 parameters, CrossEntropy")
    assert "Adam(lr=0.001" in begin
    assert end == "training ends after 2 epochs"
    backend, first, second = records("training", logging.DEBUG)
    known = cnnx.config_dict()
    kernels = known.get("kernel set (ISA)", "none")
    assert (
        backend == f"backend {known['backend']}, kernel set {kernels}, threads {known['threads']}"
    )
    assert first.startswith("epoch 1: loss ") and second.startswith("epoch 2: loss ")


def test_verbose_prints_the_epochs_once_and_the_log_has_them_at_debug_only(records, capsys):
    cnnx.fit(net(), blobs(60), epochs=2, seed=0)
    printed = capsys.readouterr()
    assert printed.out.count("epoch") == 2 and printed.err == ""
    assert not any("epoch 1" in message for message in records("training"))


def test_checkpoints_resuming_and_what_broke_a_training_off_are_logged(records, tmp_path):
    def run(epochs, *callbacks):
        saved = cnnx.Checkpoint(tmp_path, keep=1, best="loss")
        options = {"callbacks": [saved, *callbacks], "resume": tmp_path, "verbose": False}
        cnnx.fit(net(), blobs(60), epochs=epochs, batch_size=20, seed=0, **options)

    class Fails(cnnx.Callback):
        def on_batch_end(self, batch, logs):
            if batch == 2:
                raise KeyError("sample")

    run(1)
    files = [str(tmp_path / name) for name in ("best.npz", "checkpoint-0001-000000.npz")]
    assert records("checkpoint") == [f"wrote {name!r}" for name in files]
    with pytest.raises(KeyError):
        run(2, Fails())
    *_, resumed, broken = records("training")
    assert resumed == f"resumes from {files[1]!r}: 1 epochs and 0 batches are done"
    assert broken == "training breaks off after 1 epochs and 2 batches: KeyError: 'sample'"


def test_a_checkpoint_that_cannot_be_written_is_a_warning_and_not_logged(
    records, tmp_path, monkeypatch
):
    def full(path, tree):
        raise OSError("no space left")

    monkeypatch.setattr("cnnx.callbacks.checkpoint.save_checkpoint", full)
    with pytest.warns(RuntimeWarning, match="no space left"):
        cnnx.fit(net(), blobs(20), seed=0, verbose=False, callbacks=[cnnx.Checkpoint(tmp_path)])
    assert records("checkpoint") == []


def test_early_stopping_and_the_learning_rate_are_logged(records):
    model = net()
    optimizer = cnnx.SGD(model.parameters(), lr=0.0)
    optimizer.lr = 1e-30  # nothing improves
    schedule = cnnx.StepLR(optimizer, step_size=2)
    stop = cnnx.EarlyStopping("loss", patience=2)
    options = {"schedule": schedule, "callbacks": [stop], "verbose": False, "shuffle": False}
    cnnx.fit(model, blobs(20), optimizer=optimizer, epochs=9, **options)
    stopped, end, restored = records("training")[1:]
    best = f"{stop.monitor.best:.6g}"
    assert stopped == (
        f"EarlyStopping: no improvement in 2 epochs; the best one was 1, with {best}"
    )
    assert {end, restored} == {
        "training ends after 3 epochs, stopped before the last",
        "EarlyStopping: restored the weights of 1",
    }
    assert "learning rate 1e-30 -> 1e-31" in records("training", logging.DEBUG)


def test_without_configuration_nothing_is_printed_and_the_import_needs_no_logging():
    code = (
        "import sys, numpy, cnnx; assert 'logging' not in sys.modules; "
        "cnnx.log.logger('data').warning('a mirror failed'); import logging; "
        "root = logging.getLogger('cnnx'); assert root.level == 0; "
        "assert [type(h).__name__ for h in root.handlers] == ['NullHandler']"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_log_does_not_change_the_result(caplog):
    results = []
    for level in (logging.DEBUG, logging.CRITICAL):
        caplog.set_level(level, logger="cnnx")
        model = net()
        cnnx.fit(model, blobs(60), epochs=1, seed=0, verbose=False)
        results.append(model[0].weight.data)
    assert np.array_equal(*results)
