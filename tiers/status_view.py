# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a running service or node in a terminal: asked for over HTTP, drawn again every second."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from supervm.kernels.errors import ArgumentError
from supervm.tiers import console
from supervm.tiers.errors import NoAnswer
from supervm.tiers.observability.status import Status
from supervm.tiers.plain_text import visible
from supervm.tiers.tables import FittedTable

PATIENCE = 5.0
"""Seconds that an answer may take."""

MOST_BYTES = 4 << 20
"""Of an answer; a status has some ten thousand."""

_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A machine that is watched is near; a proxy for the Web has no business in between."""

BARS = "▁▂▃▄▅▆▇█"
CURVE = 30
"""Seconds that a curve shows."""

STYLES = {
    "ready": "bold green",
    "starting": "bold yellow",
    "leaving": "bold yellow",
    "draining": "bold yellow",
    "failing": "bold red",
}


def ask(address: str) -> Status:
    """The status of the process at an address such as http://127.0.0.1:8080.

    Raises:
        ArgumentError: no address of HTTP.
        NoAnswer: nobody answers there, or not with a status.
    """
    if not re.match(r"https?://[^\s/]", address):
        raise ArgumentError("--watch", repr(address), "an address such as http://127.0.0.1:8080")
    place = address.rstrip("/") + "/status.json"
    try:
        with _DIRECTLY.open(place, timeout=PATIENCE) as answer:
            return msgspec.json.decode(answer.read(MOST_BYTES), type=Status)
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            raise NoAnswer(place, f"{error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # urllib's errors are the system's
        raise NoAnswer(place, str(getattr(error, "reason", error)) or type(error).__name__) from None
    except RecursionError:
        raise NoAnswer(place, "what answers is no status: it is nested too deeply") from None
    except msgspec.MsgspecError as error:
        raise NoAnswer(place, f"what answers is no status: {error}") from None


def watch(address: str, seconds: float, *, until: Callable[[], bool] = lambda: False) -> None:
    """Draw the status again and again until Ctrl-C; where nobody answers any more, the last one stays, with the reason.

    Args:
        seconds: between two questions.
        until: asked after each drawing whether to end.

    Raises: as `ask`, for the first answer.
    """
    status, trouble = ask(address), ""
    with Live(console=console.answers(), screen=False, auto_refresh=False) as live:
        try:
            while True:
                live.update(draw(status, trouble), refresh=True)
                if until():
                    return
                time.sleep(seconds)
                try:
                    status, trouble = ask(address), ""
                except NoAnswer as error:
                    trouble = str(error)
        except KeyboardInterrupt:
            return


def draw(status: Status, trouble: str = "") -> RenderableType:
    """A status as tables; those with nothing in them are left out."""
    parts = [
        _rates(status),
        _table(
            "verified",
            ("scheme", "backend", "#valid", "#invalid", "#malformed"),
            status.verified,
        ),
        _table(
            "stages",
            ("stage", "#of late", "#mean", "#times"),
            [(one.stage, _duration(one.recent), _duration(one.mean), one.count) for one in status.stages],
        ),
        _table("queues", ("in front of", "#waiting"), status.queues.items()),
        _table(
            "requests",
            ("call", "#mean", "codes"),
            [(one.call, _duration(one.mean), _codes(one.codes)) for one in status.requests],
        ),
        _table("executors", ("name", "kind", "circuit", "reason"), status.executors),
        _table("fallbacks", ("operation", "reason", "#times"), status.fallbacks),
        _table("wrong results", ("operation", "#batches"), status.mismatches.items()),
        _table(
            "blocks",
            ("height", "root", "#transactions", "#fast", "#rejected", "#failed", "#repeated", "#stages"),
            [
                (
                    f"{one.height:,}",
                    one.root[:12],
                    one.transactions,
                    one.fast,
                    one.rejected,
                    one.failed,
                    one.repeated,
                    _duration(one.seconds),
                )
                for one in status.blocks[:5]
            ],
        ),
    ]
    return Group(*_heading(status, trouble), *(table for part in parts for table in part))


def _heading(status: Status, trouble: str) -> list[Text]:
    state = Text(visible(status.state), STYLES.get(status.state, "bold"))
    if status.reason:
        state.append(visible(f": {status.reason}"))
    machine = f"{status.machine.cores} cores, {status.machine.memory / 1e9:.0f} GB"
    facts = visible(f"  tier {status.tier}, {machine}, version {status.version}, up {status.uptime:,.0f} s")
    lines = [state.append(facts, "dim")]
    return [*lines, Text(visible(f"no answer: {trouble}"), "bold red")] if trouble else lines


def _rates(status: Status) -> list[RenderableType]:
    rows = []
    for name, rate in status.rates.items():
        if any(rate.history) or name == "items":
            most = max(rate.history, default=0.0)
            label = "signatures" if name == "items" else name
            rows.append((label, f"{rate.now:,.0f}", f"{most:,.0f}", curve(rate.history[-CURVE:])))
    return _table("a second", ("", "#now", "#most", "last half minute"), rows)


def curve(values: list[float]) -> str:
    """Values from 0 to the largest, as bars of one character each."""
    most = max(values, default=0.0) or 1.0
    return "".join(BARS[round(value / most * (len(BARS) - 1))] for value in values)


def _table(title: str, columns: tuple[str, ...], rows: Iterable[Any]) -> list[RenderableType]:
    """Rows of plain values, or of structs whose fields are in the order of the columns."""
    cells = []
    for row in rows:
        values = msgspec.structs.astuple(row) if isinstance(row, msgspec.Struct) else row
        # What another process sends means nothing to Rich.
        cells.append(
            [
                console.plain(f"{each:,.0f}" if isinstance(each, (int, float)) else str(each))
                for each in values
            ]
        )
    return [Text(""), FittedTable(columns, cells, title, framed=False)] if cells else []


def _codes(codes: dict[str, int]) -> str:
    return ", ".join(f"{code} {count:,}" for code, count in codes.items())


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{1e3 * seconds:,.3g} ms" if seconds < 1 else f"{seconds:,.3g} s"
