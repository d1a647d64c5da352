# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of rows in words, as tables and pages show them."""

from __future__ import annotations

from supervm.benchmarks.rows import PeerRow, Row


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
