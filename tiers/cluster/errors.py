# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with a cluster as a whole; a node that fails is no error as long as another one does its work.

SupervmError
└── ClusterError (RuntimeError)
    ├── NoCluster          an address at which no cluster answers, or one that cannot be used from here
    ├── NodeRefused        a node that may not be used: its sources differ from ours
    ├── NoNodeLeft         every node is gone, refused or taken out
    └── ShareFailed        work that no node can do: it failed wherever it was tried
"""

from __future__ import annotations

from supervm.kernels.errors import SupervmError


class ClusterError(SupervmError, RuntimeError):
    """Base of what goes wrong with a cluster."""


class NoCluster(ClusterError):
    """Nothing at an address is a cluster that can be used from here.

    Args:
        address: as it was given.
        problem: what happened, and what to do.
    """

    def __init__(self, address: str, problem: str) -> None:
        super().__init__(f"cluster '{address}': {problem}")
        self.address, self.problem = address, problem

    def __reduce__(self) -> tuple[type[NoCluster], tuple[str, str]]:
        return type(self), (self.address, self.problem)


class NodeRefused(ClusterError):
    """A node is not used: it could answer otherwise than this machine would.

    Args:
        node: its name.
        problem: what differs, and what to do.
    """

    def __init__(self, node: str, problem: str) -> None:
        super().__init__(f"node {node}: {problem}")
        self.node, self.problem = node, problem

    def __reduce__(self) -> tuple[type[NodeRefused], tuple[str, str]]:
        return type(self), (self.node, self.problem)


class NoNodeLeft(ClusterError):
    """No node can be given work.

    Args:
        reasons: of each node that was tried, 'NAME: why'.
    """

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("no node of the cluster can be given work; " + ("; ".join(reasons) or "it has none"))
        self.reasons = reasons

    def __reduce__(self) -> tuple[type[NoNodeLeft], tuple[tuple[str, ...]]]:
        return type(self), (self.reasons,)


class ShareFailed(ClusterError):
    """A share of the work failed wherever it was tried.

    Args:
        task: its name.
        index: the share's, from 0.
        problem: what happened last.
    """

    def __init__(self, task: str, index: int, problem: str) -> None:
        super().__init__(
            f"task '{task}', share {index}: failed on every node that tried it, at last: {problem}"
        )
        self.task, self.index, self.problem = task, index, problem

    def __reduce__(self) -> tuple[type[ShareFailed], tuple[str, int, str]]:
        return type(self), (self.task, self.index, self.problem)
