"""Whole training steps and inference of `cnnx.bench.MODELS`."""

from __future__ import annotations

import pytest

from cnnx.bench import MODELS, Workload

WORKLOADS = [workload for rows in MODELS.values() for workload in rows]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_model(workload: Workload, contestant: str, time_workload) -> None:
    time_workload(workload, contestant)
