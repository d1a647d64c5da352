# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of a node.

SupervmError
└── NodeError
    ├── BlockRefused (ValueError)   a block that cannot follow: source, block, what was found and expected
    │   └── BlockTooLarge           one with more bytes than any node reads: size
    ├── WrongChain (ValueError)     a state, a wallet or an upstream of another genesis
    ├── WrongRoot                   a chain that does not come to the state root that its genesis announces
    ├── TaskRefused (ValueError)    a task that this tier does not take on: task, tier, where it belongs
    ├── TasksClosed (ValueError)    a share of a task at a node that does none for others
    ├── NotKept (LookupError)       a block, its receipts or a snapshot that the node does not have
    ├── TooManySnapshots            a snapshot that callers may not add to those that there are
    ├── ProofRefused (ValueError)   an upstream's answer that its proof does not show
    ├── WalletError (ValueError)    an account that the wallet does not have, or a key that it cannot open
    ├── DatabaseFailed              a database that cannot be read or written: path, problem
    └── UpstreamFailed              the upstream node did not answer, or not as it should
"""

from __future__ import annotations

from supervm.kernels.errors import SupervmError


class NodeError(SupervmError):
    """Base of a node's errors."""


class BlockRefused(NodeError, ValueError):
    """A block that cannot follow the last one; the state is what it was.

    Args:
        source: where it came from: a file's path, 'stream' or a peer's address.
        block: its number, or None if that cannot be read.
        found: what is there, in words.
        expected: what is accepted.
    """

    def __init__(self, source: str, block: int | None, found: str, expected: str) -> None:
        place = source if block is None else f"{source}, block {block}"
        super().__init__(f"{place}: found {found}, expected {expected}")
        self.source = source
        self.block = block
        self.found = found
        self.expected = expected

    def __reduce__(self) -> tuple[type[BlockRefused], tuple[str, int | None, str, str]]:
        return type(self), (self.source, self.block, self.found, self.expected)


class BlockTooLarge(BlockRefused):
    """A block with more bytes than any node reads.

    Args:
        source, block: as in `BlockRefused`.
        size: its bytes.
        most: bytes that are read.
    """

    def __init__(self, source: str, block: int | None, size: int, most: int) -> None:
        super().__init__(
            source,
            block,
            f"{size:,} bytes",
            f"at most {most:,}: no node can have executed it. The node that packed it sets it aside at its next start with "
            "node.pack.transactions above 0; elsewhere, move it away and put the block there that takes its place",
        )
        self.size = size
        self.most = most

    def __reduce__(self) -> tuple[type[BlockTooLarge], tuple[str, int | None, int, int]]:  # type: ignore[override]
        return type(self), (self.source, self.block, self.size, self.most)


class WrongChain(NodeError, ValueError):
    """What belongs to one genesis met what belongs to another."""


class WrongRoot(NodeError):
    """A chain that does not, or cannot, come to the state root that its genesis announces."""


class TaskRefused(NodeError, ValueError):
    """A task that this tier does not take on.

    Args:
        task: its type.
        cost: its cost.
        tier: this node's.
        belongs: the lowest tier that takes it on.
        needs_gpu: whether it needs a GPU there.
    """

    def __init__(self, task: str, cost: int, tier: str, belongs: str, needs_gpu: bool) -> None:
        gpu = "with a GPU" if needs_gpu else "no GPU needed"
        super().__init__(
            f"task '{task}' (cost {cost}) is not for a node of tier {tier}: it belongs to {belongs} or above, {gpu}"
        )
        self.task = task
        self.cost = cost
        self.tier = tier
        self.belongs = belongs
        self.needs_gpu = needs_gpu

    def __reduce__(self) -> tuple[type[TaskRefused], tuple[str, int, str, str, bool]]:
        return type(self), (self.task, self.cost, self.tier, self.belongs, self.needs_gpu)


class TasksClosed(NodeError, ValueError):
    """A share of a task was sent to a node that does none for others."""

    def __init__(self) -> None:
        super().__init__("this node does no tasks for others: ask one whose setting node.tasks is 'accept'")

    def __reduce__(self) -> tuple[type[TasksClosed], tuple[()]]:
        return type(self), ()


class NotKept(NodeError, LookupError):
    """A block, its receipts or a snapshot that the node does not have."""


class TooManySnapshots(NodeError):
    """A snapshot that was not made: there are as many as callers may make.

    Args:
        most: snapshots at a time.
    """

    def __init__(self, most: int) -> None:
        super().__init__(
            f"there are {most} snapshots, the most that callers may make: drop one first (DropSnapshot)"
        )
        self.most = most

    def __reduce__(self) -> tuple[type[TooManySnapshots], tuple[int]]:
        return type(self), (self.most,)


class ProofRefused(NodeError, ValueError):
    """An upstream's answer that its proof does not show, or a root that is not the trusted one."""


class WalletError(NodeError, ValueError):
    """An account that the wallet does not have, a key that it cannot open, or a package that it needs."""


class DatabaseFailed(NodeError):
    """A database of the node cannot be read or written; a transaction that was begun changed nothing.

    Args:
        path: of the file.
        problem: what SQLite says.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"{path}: {problem}; see that the disk has room, the file may be written, and no other program holds it"
        )
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[type[DatabaseFailed], tuple[str, str]]:
        return type(self), (self.path, self.problem)


class UpstreamFailed(NodeError):
    """The upstream node did not answer, or not as it should; what was queued stays queued.

    Args:
        address: of the upstream.
        method: that was called.
        code: name of the status.
        details: what the upstream says.
    """

    def __init__(self, address: str, method: str, code: str, details: str) -> None:
        super().__init__(f"upstream {address}, {method}: {code}: {details}")
        self.address = address
        self.method = method
        self.code = code
        self.details = details

    def __reduce__(self) -> tuple[type[UpstreamFailed], tuple[str, str, str, str]]:
        return type(self), (self.address, self.method, self.code, self.details)
