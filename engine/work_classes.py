# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of work, from consensus to what a node does for itself, and how heavy each is.

A weight says how heavy a class is for a node, which is what tiers and admission ask; how long a batch takes is measured
(`supervm.engine.scheduler.cost`).
"""

from __future__ import annotations

from enum import StrEnum


class Work(StrEnum):
    """A class of work, as the setting `work.allowed` names it."""

    CONSENSUS = "consensus"
    ZK_PROOF = "zk_proof"
    TRANSACTION_EXECUTION = "transaction_execution"
    QUERY = "query"
    LOCAL_OPERATION = "local_operation"

    @property
    def cost(self) -> int:
        """Its weight, 0 to 100."""
        return _WEIGHTS[self]

    @property
    def needs_gpu(self) -> bool:
        """Whether it is only worth doing with a GPU."""
        return self is Work.ZK_PROOF


_WEIGHTS = {
    Work.CONSENSUS: 90,
    Work.ZK_PROOF: 95,
    Work.TRANSACTION_EXECUTION: 60,
    Work.QUERY: 20,
    Work.LOCAL_OPERATION: 10,
}
