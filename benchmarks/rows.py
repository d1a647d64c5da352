# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows that `supervm bench` prints and `benchmarks/results/` keeps, and their figures in words, as tables show them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import msgspec

Transfers = Literal["none", "included"]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


@dataclass(frozen=True)
class PeerRow:
    """What another library did with items of the same workload, on one thread.

    Args:
        name: the library, and the function where it has several.
        version: of the installed package.
        items_per_second: its best round.
        ratio: ours ÷ the peer's, in items per second; above 1 means that SuperVM is faster.
        spread: its median run's time ÷ its best one's − 1; None in files that were recorded before it was kept.
    """

    name: str
    version: str
    items_per_second: Positive
    ratio: Positive
    spread: NotNegative | None = None


@dataclass(frozen=True)
class Row:
    """One operation on one backend with one thread count and one batch size.

    Args:
        suite: one of `supervm.benchmarks.cases.SUITES`.
        operation: the registry's name; a workload or rule other than the usual one follows in brackets.
        backend: a name of `kernels.registry.BACKENDS`.
        threads: how many threads ours used.
        batch: items of one call.
        items_per_second: ours, from the best round.
        ns_per_item: the same, as nanoseconds.
        transfers: whether copies to and from a device are inside the time; a CPU has none. A row of `cuda` with `none`
            is the kernels alone, on inputs that lie on the device.
        peers: the libraries measured beside it, in the same process, round by round; none where they stand beside
            another row of the case, or are not installed.
        spread: our median run's time ÷ our best one's − 1; None in files that were recorded before it was kept.
        stages: of a row of `execution`, the seconds of each stage of its best run, which overlap; None elsewhere, and in
            files that were recorded before they were kept.
        p99_ms: of a row of `service`, milliseconds within which 99 of 100 requests were answered; for single signatures in
            streams that come at 5,000 a second, or at half of the row's rate if that is less. None elsewhere.
    """

    suite: str
    operation: str
    backend: str
    threads: int
    batch: int
    items_per_second: Positive
    ns_per_item: Positive
    transfers: Transfers
    peers: tuple[PeerRow, ...]
    spread: NotNegative | None = None
    stages: dict[str, float] | None = None
    p99_ms: Positive | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as plain dictionaries and lists, in the order above; without what is None."""
        return {**_known(asdict(self)), "peers": [_known(asdict(peer)) for peer in self.peers]}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Row:
        """The inverse of `to_json`.

        Raises:
            msgspec.ValidationError: a field is missing, or of another type or range; the message says which.
        """
        return msgspec.convert(row, cls)


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def rate(row: Row) -> str:
    """Ours, such as `14.5 M/s`."""
    return f"{short(row.items_per_second)}/s"


def ratio(peer: PeerRow) -> str:
    """Ours ÷ the peer's, such as `5.30x`."""
    return f"{peer.ratio:.2f}x" if peer.ratio < 10 else f"{peer.ratio:.0f}x"


def short(value: float) -> str:
    """Three significant digits with k, M or G."""
    if value >= 1e9:
        return f"{value / 1e9:.3g} G"
    scale, suffix = (1e6, " M") if value >= 1e6 else (1e3, " k") if value >= 1e3 else (1.0, " ")
    return f"{value / scale:.3g}{suffix}"


def threads(count: int) -> str:
    """Such as `2 threads`."""
    return f"{count} thread{'s' * (count > 1)}"


def duration(seconds: float) -> str:
    """Three significant digits with ns, µs, ms or s."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:,.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
