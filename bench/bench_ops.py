"""Every op at every size of `cnnx.bench.OPS`."""

from __future__ import annotations

import pytest

from cnnx.bench import OPS, Workload

WORKLOADS = [workload for rows in OPS.values() for workload in rows]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_op(workload: Workload, contestant: str, time_workload) -> None:
    time_workload(workload, contestant)
