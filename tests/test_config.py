"""Backend and threads are selected by call, block and environment; invalid choices are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx

BACKENDS = cnnx.available_backends()
ROOT = Path(__file__).parents[1]


def test_an_unknown_backend_is_an_error_that_lists_the_backends():
    for choose in (cnnx.set_backend, lambda name: cnnx.use_backend(name).__enter__()):
        with pytest.raises(ValueError, match="gpu") as caught:
            choose("gpu")
        assert all(name in str(caught.value) for name in BACKENDS)
    assert cnnx.get_backend() in BACKENDS


def _import_with(variable, value):
    """Import cnnx in a new process under an environment variable, and print its backend."""
    code = "import cnnx; print(cnnx.get_backend(), cnnx.get_num_threads())"
    environment = os.environ | {variable: value}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_environment_variable_selects_the_backend(backend):
    assert _import_with("CNNX_BACKEND", backend).stdout.split()[0] == backend


def test_an_unknown_backend_in_the_environment_is_an_error_that_names_the_variable():
    last = _import_with("CNNX_BACKEND", "gpu").stderr.splitlines()[-1]
    assert last.startswith("ValueError: ") and "CNNX_BACKEND=gpu" in last and "reference" in last


def test_an_environment_variable_limits_the_threads():
    assert _import_with("CNNX_NUM_THREADS", "1").stdout.split()[1] == "1"


@pytest.mark.parametrize("value", ["0", "two", "-3", "1.5"])
def test_a_bad_number_of_threads_in_the_environment_is_an_error_that_names_the_variable(value):
    if "compiled" in BACKENDS:  # the reference has no threads to set
        last = _import_with("CNNX_NUM_THREADS", value).stderr.splitlines()[-1]
        assert last.startswith("ValueError: ") and f"CNNX_NUM_THREADS={value}" in last


@pytest.mark.parametrize("threads", [0, -1])
def test_a_number_of_threads_below_one_is_an_error(threads):
    with pytest.raises(ValueError, match=f"set_num_threads: .*{threads}"):
        cnnx.set_num_threads(threads)


@pytest.mark.parametrize("threads", [1.5, "2", None])
def test_a_number_of_threads_that_is_no_integer_is_an_error(threads):
    with pytest.raises(TypeError, match="set_num_threads: "):
        cnnx.set_num_threads(threads)


def test_a_backend_is_restored_when_the_block_ends_by_an_error():
    before = cnnx.get_backend()
    with pytest.raises(KeyError), cnnx.use_backend("reference"):
        raise KeyError
    assert cnnx.get_backend() == before


def test_the_configuration_names_version_backend_and_threads(capsys):
    configuration = cnnx.config.config_dict()
    assert {"cnnx", "backend", "threads"} <= set(configuration)
    assert cnnx.show_config() is None
    printed = capsys.readouterr().out
    assert cnnx.get_backend() in printed and str(configuration["cnnx"]) in printed
