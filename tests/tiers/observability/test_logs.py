# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines: one object or line for each event, the request's id, no secrets, and the scheduler's reasons among them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_device import FaultDevice, Faults, lend
from fault_rows import OPERATION, line, rows_batch, rows_function
from observed import EDGE

from supervm.engine.scheduler import Scheduler, SchedulerSettings
from supervm.kernels import registry
from supervm.kernels.errors import DeviceError
from supervm.tiers.errors import SettingError
from supervm.tiers.observability.logs import (
    MOST_CHARACTERS,
    new_request_id,
    request_id,
    start_logs,
    stop_logs,
)
from supervm.tiers.observability.observing import observing
from supervm.tiers.settings import load

log = logging.getLogger("supervm.tiers.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where JSON lines of level info and above go."""
    one = io.StringIO()
    start_logs("info", "json", one)
    yield one
    stop_logs()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(each) for each in stream.getvalue().splitlines()]


def test_an_event_is_one_object(stream: io.StringIO) -> None:
    log.info(
        "verified %d of\n%d", 3, 4, extra={"items": 4, "seconds": 0.5, "scheme": "ed25519", "whole": True}
    )
    log.debug("not shown")
    (found,) = lines(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {
        "level": "info",
        "logger": "supervm.tiers.test",
        "message": "verified 3 of\n4",
        "items": 4,
        "seconds": 0.5,
        "scheme": "ed25519",
        "whole": True,
    }


def test_text_is_one_line_whatever_it_says() -> None:
    stream = io.StringIO()
    start_logs("warning", "text", stream)
    log.warning(
        "first\n2026-01-01T00:00:00.000Z ERROR supervm: forged\x1b[31m", extra={"peer": "a\rb\u2028c"}
    )
    log.info("not shown")
    stop_logs()
    (found,) = stream.getvalue().splitlines()
    assert " WARNING supervm.tiers.test: first\\n2026" in found
    assert found.endswith("\\x1b[31m peer=a\\rb\\u2028c")


def test_requests_keep_apart_in_tasks(stream: io.StringIO) -> None:
    async def handle(identity: str) -> None:
        with request_id(identity):
            await asyncio.sleep(0)
            log.info("%s", identity)

    async def both() -> None:
        await asyncio.gather(*(handle(identity) for identity in ("a", "b", "c")))

    asyncio.run(both())
    with request_id("d"), request_id("e"):
        log.info("inside")
    log.info("outside")
    assert [(found["message"], found.get("request")) for found in lines(stream)] == [
        ("a", "a"),
        ("b", "b"),
        ("c", "c"),
        ("inside", "e"),
        ("outside", None),
    ]
    assert re.fullmatch("[0-9a-f]{16}", new_request_id())
    assert new_request_id() != new_request_id()


def test_secrets_and_long_texts_are_kept_out(stream: io.StringIO) -> None:
    log.info("call", extra={"authorization": "Bearer s3cr3t", "client_token": "s3cr3t", "peer": "x" * 5000})
    assert "s3cr3t" not in stream.getvalue()
    (found,) = lines(stream)
    assert found["authorization"] == found["client_token"] == "***"
    assert found["peer"] == "x" * MOST_CHARACTERS + "… (5000 characters)"


def test_an_error_brings_its_traceback_and_odd_values_do_no_harm(stream: io.StringIO) -> None:
    try:
        raise DeviceError("gpu", "broken")
    except DeviceError:
        log.exception("failed", extra={"shape": (3, 4), "nothing": None})
    (found,) = lines(stream)
    assert "DeviceError" in found["error"]
    assert (found["level"], found["shape"], found["nothing"]) == ("error", "(3, 4)", None)


def test_a_second_start_replaces_the_first(stream: io.StringIO) -> None:
    other = io.StringIO()
    start_logs("debug", "json", other)
    log.debug("once")
    assert (len(lines(stream)), len(lines(other))) == (0, 1)


def test_the_scheduler_s_reasons_are_logged(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registry, "_table", {})
    monkeypatch.setattr(registry, "_dispatcher", None)
    registry.register(OPERATION, "scalar", rows_function)
    lend(OPERATION, 2)
    device = FaultDevice(faults=Faults(launch=DeviceError("Fault Device (0)", "no such kernel image")))
    models = {(OPERATION, "scalar"): line(0.0, 1e-3), (OPERATION, device.name): line(1e-6, 1e-9)}
    with Scheduler(SchedulerSettings(remember=False), [device], folder=tmp_path, models=models):
        registry.run(rows_batch(40))
    (found,) = [found for found in lines(stream) if found["logger"] == "supervm.engine.scheduler"]
    assert found["level"] == "warning"
    for part in (OPERATION, device.name, "device_error", "no such kernel image"):
        assert part in found["message"]


def test_settings_decide(capsys: pytest.CaptureFixture[str]) -> None:
    settings = load(EDGE, environment={"SUPERVM_LOG_LEVEL": "error", "SUPERVM_LOG_FORMAT": "text"})
    with observing(settings, EDGE) as seen:
        log.warning("not shown")
        log.error("shown")
        seen.watch(None)
        assert seen.metrics.scheduler is None
    log.error("not shown either, by us")
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.rstrip().endswith("ERROR   supervm.tiers.test: shown")


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SUPERVM_LOG_LEVEL", "loud"),
        ("SUPERVM_LOG_FORMAT", "xml"),
        ("SUPERVM_TRACES_ENDPOINT", "127.0.0.1:4317"),
        ("SUPERVM_TRACES_ENDPOINT", "http://user:secret@collector:4317"),
    ],
)
def test_bad_settings_are_named(variable: str, text: str) -> None:
    with pytest.raises(SettingError) as caught:
        load(EDGE, environment={variable: text})
    assert caught.value.source == variable
