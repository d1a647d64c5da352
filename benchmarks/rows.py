# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows that `supervm bench` prints and `benchmarks/results/` keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Transfers = Literal["none", "included"]


@dataclass(frozen=True)
class PeerRow:
    """What another library did with items of the same workload, on one thread.

    Args:
        name: the library, and the function where it has several.
        version: of the installed package.
        items_per_second: its best round.
        ratio: ours ÷ the peer's, in items per second; above 1 means that SuperVM is faster.
    """

    name: str
    version: str
    items_per_second: float
    ratio: float


@dataclass(frozen=True)
class Row:
    """One operation on one backend with one thread count and one batch size.

    Args:
        suite: `signatures`, `hashes`, `conflicts` or `execution`.
        operation: the registry's name; a workload or rule other than the usual one follows in brackets.
        backend: `ifma`, `scalar` or `cuda`.
        threads: how many threads ours used.
        batch: items of one call.
        items_per_second: ours, from the best round.
        ns_per_item: the same, as nanoseconds.
        transfers: whether copies to and from a device are inside the time; a CPU has none. A row of `cuda` with `none`
            is the kernels alone, on inputs that lie on the device.
        peers: the libraries measured beside it, in the same process, round by round; none where they stand beside
            another row of the case, or are not installed.
    """

    suite: str
    operation: str
    backend: str
    threads: int
    batch: int
    items_per_second: float
    ns_per_item: float
    transfers: Transfers
    peers: tuple[PeerRow, ...]

    def to_json(self) -> dict[str, Any]:
        """The row as plain dictionaries and lists, in the order above."""
        return {**asdict(self), "peers": [asdict(peer) for peer in self.peers]}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Row:
        """The inverse of `to_json`."""
        return cls(**{**row, "peers": tuple(PeerRow(**peer) for peer in row["peers"])})
