# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's pages of several processes that serve: the metrics of all, each with the label `process`.

Each process has pages of its own, which are handed on as `/processes/0/`, `/processes/0/status.json` and so on.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from supervm.tiers.observability.routes import FRESH, PATHS, UNREADY, Methods
from supervm.tiers.service.child import STARTING
from supervm.tiers.service.http_port import HttpPort
from supervm.tiers.service.operations import LIMITS, STOP_SECONDS
from supervm.tiers.service.process import OFF

if TYPE_CHECKING:
    from supervm.tiers.service.supervision import Keeper

PROCESS = "process"
"""The label, and the field, that says which process: its number from 0 on, which its successor has too."""

PATIENCE = 3.0
"""Seconds that the metrics of a process may take; one that does not answer is left out."""

BAD_GATEWAY = 502
OWN_HEADERS = {"connection", "content-length", "date", "transfer-encoding"}
"""Of an answer that is handed on, which are those of this one."""

BARE = {**FRESH, "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}

_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

log = logging.getLogger(__name__)


class Pages:
    """`/metrics`, `/healthz` (503 where all processes fail), `/readyz` (503 where none is ready), `/processes.json`, and the
    way to the pages of each process at `/`.

    Args:
        keepers: of the processes.
        address: HOST:PORT, or 'off'.

    Attributes:
        serving: whether work is accepted.
    """

    def __init__(self, keepers: Sequence[Keeper], address: str) -> None:
        self.serving = False
        self._keepers, self._port = keepers, None
        if address != OFF:
            self._port = HttpPort(self._app(), address, LIMITS)

    async def start(self) -> str | None:
        """Listen; the address, if there is one.

        Raises:
            OSError: it cannot be listened on.
        """
        return await self._port.start() if self._port else None

    async def stop(self) -> None:
        """Answer no more."""
        if self._port:
            await self._port.stop(STOP_SECONDS)

    def _app(self) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        app.add_middleware(Methods)

        @app.get("/metrics")
        async def show_metrics() -> Response:
            return Response(await self._metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST, **FRESH})

        @app.get("/healthz")
        async def show_health() -> Response:
            states = [STARTING if one.child is None else one.child.state for one in self._keepers]
            return _answer(", ".join(states), not all(state == "failing" for state in states))

        @app.get("/readyz")
        async def show_readiness() -> Response:
            ready = [
                one.child for one in self._keepers if one.child is not None and one.child.state == "ready"
            ]
            return _answer(f"{len(ready)} of {len(self._keepers)} ready", self.serving and bool(ready))

        @app.get("/processes.json")
        async def show_processes() -> Response:
            return JSONResponse([told(one) for one in self._keepers], headers=FRESH)

        @app.get("/")
        async def show_all() -> Response:
            lines = (
                f'<p><a href="processes/{one.number}/">process {one.number}</a>: {told(one)["state"]}</p>'
                for one in self._keepers
            )
            return HTMLResponse(f"<!doctype html><title>SuperVM</title>{''.join(lines)}", headers=BARE)

        @app.get("/processes/{number}/{page:path}")
        async def show_page(number: int, page: str) -> Response:
            found = [one.child for one in self._keepers if one.number == number and one.child is not None]
            address = found[0].ready["operations"] if found else None
            if address is None or f"/{page}" not in PATHS:
                return PlainTextResponse("there is no such page\n", 404, headers=FRESH)
            return await asyncio.to_thread(_handed_on, f"http://{address}/{page}")

        return app

    async def _metrics(self) -> bytes:
        serving = {
            one.number: one.child.ready["operations"]
            for one in self._keepers
            if one.child is not None and one.child.ready["operations"]
        }
        found = await asyncio.gather(*(asyncio.to_thread(_ask, address) for address in serving.values()))
        pages = {number: text for number, text in zip(serving, found, strict=True) if text}
        registry = CollectorRegistry()
        registry.register(_Collected([*merged(pages), *_own(self._keepers)]))
        return generate_latest(registry)


def told(keeper: Keeper) -> dict[str, Any]:
    """A process as `/processes.json` and `supervm serve --json` show it."""
    child = keeper.child
    said = {} if child is None else child.ready
    return {
        PROCESS: keeper.number,
        "pid": said.get("process"),
        "state": STARTING if child is None else child.state,
        "restarts": keeper.restarts,
        "cores": list(keeper.place.cores),
        "gpus": list(keeper.place.gpus),
        **{name: said.get(name) for name in ("grpc", "http", "operations")},
    }


def merged(pages: Mapping[int, str]) -> list[Metric]:
    """The families of several expositions as one each, with the label `process` on every sample.

    Args:
        pages: number of a process → its exposition.
    """
    families: dict[str, Metric] = {}
    for number, text in pages.items():
        for family in text_string_to_metric_families(text):
            into = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                into.samples.append(sample._replace(labels={**sample.labels, PROCESS: str(number)}))
    return list(families.values())


def _own(keepers: Iterable[Keeper]) -> list[Metric]:
    up = GaugeMetricFamily(
        "supervm_process_ready", "Whether a process of the service is ready.", labels=(PROCESS,)
    )
    restarts = CounterMetricFamily(
        "supervm_process_restarts",
        "Processes of the service that ended and were started again.",
        labels=(PROCESS,),
    )
    for keeper in keepers:
        ready = keeper.child is not None and keeper.child.state == "ready"
        up.add_metric([str(keeper.number)], float(ready))
        restarts.add_metric([str(keeper.number)], keeper.restarts)
    return [up, restarts]


class _Collected(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _ask(address: str) -> str:
    try:
        with _DIRECTLY.open(f"http://{address}/metrics", timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
            return text
    except (OSError, ValueError) as error:
        log.warning("the metrics of a process are missing: %s", error)
        return ""


def _handed_on(page: str) -> Response:
    try:
        with _DIRECTLY.open(page, timeout=PATIENCE) as answer:
            status, headers, body = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, headers, body = error.code, error.headers, error.read()
    except OSError as error:
        return PlainTextResponse(f"the process does not answer: {error}\n", BAD_GATEWAY, headers=FRESH)
    kept = {name: value for name, value in headers.items() if name.lower() not in OWN_HEADERS}
    return Response(body, status, headers=kept)


def _answer(text: str, well: bool) -> Response:
    return PlainTextResponse(f"{text}\n", 200 if well else UNREADY, headers=FRESH)
