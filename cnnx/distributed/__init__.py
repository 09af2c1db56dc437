"""Data-parallel training on several processes or machines, by MPI.

>>> comm = cnnx.distributed.init()                          # doctest: +SKIP
>>> optimizer = comm.wrap(cnnx.Adam(model.parameters()))    # doctest: +SKIP

Every rank has the whole model and a part of each batch; the gradients are summed over the ranks, so
that all make the same step. Needs mpi4py (extra ``mpi``); nothing else of cnnx imports it.
"""

from __future__ import annotations

from cnnx.distributed.comm import Comm, RankError, init
from cnnx.distributed.fit import fit
from cnnx.distributed.optimizer import SharedOptimizer
from cnnx.distributed.sync_batch_norm import sync_batch_norm

__all__ = ["Comm", "RankError", "SharedOptimizer", "fit", "init", "sync_batch_norm"]
