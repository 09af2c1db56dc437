"""Starts ranks on this machine. Skips the module that imports it where there is no MPI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mpi4py", reason="mpi4py is not installed (extra mpi)")
BESIDE = Path(sys.executable).with_name("mpirun")
MPIRUN = str(BESIDE) if BESIDE.exists() else shutil.which("mpirun")
if MPIRUN is None:
    pytest.skip("there is no mpirun (package openmpi)", allow_module_level=True)

PATHS = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
# Open MPI: more ranks than cores, not bound to them; waiting ranks give up their core.
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(PATHS),
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
}


def command(ranks, *words):
    """`python WORDS...` on some ranks; one is started without mpirun."""
    python = [sys.executable, *map(str, words)]
    return python if ranks == 1 else [MPIRUN, "-n", str(ranks), *python]


def run(words, cwd=None, without=()):
    """The finished process of a command, without some variables of the environment."""
    variables = {name: value for name, value in ENVIRONMENT.items() if name not in without}
    return subprocess.run(
        words, env=variables, cwd=cwd, capture_output=True, text=True, timeout=400
    )
