# SPDX-License-Identifier: GPL-3.0-or-later
"""The load generator finds out services that answer wrongly, too little or nothing; and it counts what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
import uvloop
from typer.testing import CliRunner

from supervm.benchmarks.errors import ServerFailed, ServiceWrong
from supervm.benchmarks.service import endurance, load, processes, suite
from supervm.benchmarks.service.load import Pace, streams, unary
from supervm.benchmarks.service.process import server
from supervm.benchmarks.service.requests import SCHEMES, head, signatures
from supervm.benchmarks.service.tally import Tally
from supervm.crypto.oracle import ed25519 as oracle
from supervm.tiers.cli import app
from supervm.tiers.service.v1 import verification_pb2 as pb

ITEMS = signatures(64)
REQUESTS = [(ITEMS.single(index), ITEMS.reply(index, 1)) for index in range(len(ITEMS))]

Load = Callable[[str, Pace, Tally], Coroutine[Any, Any, None]]
LOADS: dict[str, Load] = {
    "unary": lambda target, pace, tally: unary(target, REQUESTS, pace, tally, timeout=1.0),
    "streams": lambda target, pace, tally: streams(target, ITEMS, pace, tally),
}
RATES = [None, 100.0]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of a tenth of a second: what is tested is not how fast anything is."""
    for name, value in {"WARM_SECONDS": 0.1, "ROUND_SECONDS": 0.3}.items():
        monkeypatch.setattr(suite, name, value)
    monkeypatch.setattr(load, "GRACE", 2.0)


class Fake:
    """A server in this process that answers as it is told.

    Args:
        answer: request → reply, or None for none.
    """

    def __init__(self, answer: Callable[[pb.VerifyRequest], pb.VerifyReply | None]) -> None:
        self._answer = answer

    async def verify(self, request: pb.VerifyRequest, context: Any) -> pb.VerifyReply:
        answer = self._answer(request)
        if answer is None:
            await context.abort(grpc.StatusCode.INTERNAL, "nothing")
        assert answer is not None
        return answer

    async def stream(self, requests: Any, _: Any) -> Any:
        async for request in requests:
            answer = self._answer(request)
            if answer is not None:
                yield pb.VerifyReplies(replies=[answer])

    async def under(self, load: Load, rate: float | None, late: float = 0.0) -> Tally:
        """What a load of a third of a second finds, if the server starts so many seconds late."""
        served = grpc.aio.server()
        reading, one, several = (
            pb.VerifyRequest.FromString,
            pb.VerifyReply.SerializeToString,
            pb.VerifyReplies.SerializeToString,
        )
        handlers = {
            "Verify": grpc.unary_unary_rpc_method_handler(self.verify, reading, one),
            "VerifyStream": grpc.stream_stream_rpc_method_handler(self.stream, reading, several),
        }
        served.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("supervm.v1.Verification", handlers),)
        )
        port = served.add_insecure_port("127.0.0.1:0")
        tally = Tally()
        loading = asyncio.ensure_future(load(f"127.0.0.1:{port}", Pace(3, 4, 0.3, rate), tally))
        await asyncio.sleep(late)
        await served.start()
        await loading
        await served.stop(0)
        return tally


def truth(request: pb.VerifyRequest) -> pb.VerifyReply:
    """By the oracle."""
    verdict = oracle.verify(request.public_keys, request.message, request.signatures)
    return pb.VerifyReply(id=request.id, verdicts=np.int8(verdict).tobytes())


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", LOADS)
def test_right_answers_pass(name: str, rate: float | None) -> None:
    tally = uvloop.run(Fake(truth).under(LOADS[name], rate))
    suite.checked(name, tally)
    assert len(tally.took) == len(tally.done) > 0
    if rate is not None:
        assert len(tally.done) <= 0.3 * rate + 3 * 4


@pytest.mark.parametrize("name", LOADS)
def test_a_load_begins_when_its_connections_stand(name: str) -> None:
    tally = uvloop.run(Fake(truth).under(LOADS[name], None, late=0.5))
    suite.checked(name, tally)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", LOADS)
@pytest.mark.parametrize(
    "answer",
    [
        lambda request: pb.VerifyReply(id=request.id, verdicts=b"\1"),
        lambda request: pb.VerifyReply(id=request.id, verdicts=b"\1\1"),
        lambda request: pb.VerifyReply(id=request.id + 1, verdicts=truth(request).verdicts),
        lambda request: pb.VerifyReply(id=request.id, refusal=pb.Refusal(code=13)),
    ],
    ids=["accepts everything", "too many verdicts", "another one's answer", "refuses"],
)
def test_wrong_answers_are_found(name: str, rate: float | None, answer: Callable[..., Any]) -> None:
    tally = uvloop.run(Fake(answer).under(LOADS[name], rate))
    with pytest.raises(ServiceWrong):
        suite.checked(name, tally)


def test_a_call_without_an_answer_is_an_error() -> None:
    tally = uvloop.run(Fake(lambda request: None).under(LOADS["unary"], None))
    with pytest.raises(ServiceWrong, match="INTERNAL"):
        suite.checked("unary", tally)


def test_a_request_without_an_answer_in_a_stream_is_an_error() -> None:
    answered = iter(range(20))

    def some(request: pb.VerifyRequest) -> pb.VerifyReply | None:
        return truth(request) if next(answered, None) is not None else None

    tally = uvloop.run(Fake(some).under(LOADS["streams"], 100.0))
    with pytest.raises(ServiceWrong, match="no answer"):
        suite.checked("streams", tally)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_requests_hold_what_they_say(scheme: str) -> None:
    items = signatures(32, scheme)
    assert {0, 1} <= set(items.verdicts.tolist())
    whole = pb.VerifyRequest.FromString(items.batch(4, 8))
    assert whole.public_keys == items.items.keys[4:12].tobytes()
    assert whole.signatures == items.items.signatures[4:12].tobytes()
    signed = whole.digests or whole.messages.data
    assert signed == items.items.messages[4:12].tobytes()
    one = pb.VerifyRequest.FromString(head(77) + items.single(5))
    assert (one.id, one.scheme) == (77, whole.scheme)
    assert one.digests or one.message == items.items.messages[5].tobytes()


def test_rates_are_counted_by_rounds_of_the_clock() -> None:
    tally = Tally()
    tally.done = [*np.linspace(9.0, 10.0, 50, endpoint=False), *np.linspace(10.0, 12.0, 200, endpoint=False)]
    tally.done += list(np.linspace(12.0, 14.0, 100, endpoint=False))
    timing = tally.timing(10.0, 2.0, 2, items=10)
    assert timing.rate == pytest.approx(1000)
    assert timing.spread == pytest.approx(0.5)  # the other round takes twice the time for as much


def test_a_percentile_counts_answers_after_the_warm_up() -> None:
    tally = Tally(done=[1.0, 2.0, 3.0], took=[100.0, 1.0, 2.0])
    assert tally.percentile(1.0, 1.5) == 2.0
    assert tally.percentile(0.0, 1.5) == 1.0
    assert np.isnan(Tally().percentile(0.5))


@contextmanager
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few clients and small batches."""
    with monkeypatch.context() as patch:
        patch.setattr(suite, "BATCH", 64)
        patch.setattr(endurance, "BATCH", 1024)
        patch.setattr(suite, "SINGLES", 128)
        patch.setattr(suite, "CLIENTS", 4)
        patch.setattr(endurance, "SOAK_BATCH", 65)
        yield


@pytest.mark.slow
def test_the_suite_s_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    with small(monkeypatch):
        ran = CliRunner().invoke(app, ["bench", "service", "--threads", "1", "--json"])
    assert ran.exit_code == 0, ran.output
    rows = {row["operation"]: row for row in json.loads(ran.stdout)["rows"]}
    assert list(rows) == ["service.batch64", "service.stream", "service.unary"]
    assert [row["peers"][0]["name"] for row in rows.values()] == [
        "the library itself",
        "empty handler",
        "empty handler",
    ]
    assert all(row["p99_ms"] > 0 for row in rows.values())


@pytest.mark.slow
def test_soak_and_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    with small(monkeypatch):
        monkeypatch.setattr(endurance, "QUEUE_BYTES", 1 << 20)
        asked = ["bench", "service", "--soak", "1", "--overload", "1", "--json"]
        ran = CliRunner().invoke(app, asked)
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert min(found["soak"]["answers"].values()) > 0
    overload = found["overload"]
    assert overload["answered"] + overload["refused"] == overload["sent"]
    assert overload["answered"] > 0


@pytest.mark.slow
def test_processes_beside_one_and_replaced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one process, which is as many as there are nodes on most machines."""
    for name, value in {"TURNS": 1, "COUNTS": (1,), "REPLACED": "numa", "WARM_SECONDS": 0.1}.items():
        monkeypatch.setattr(processes, name, value)
    processes.main(["--seconds", "0.5", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["one"] == found["two"]
    assert min(found["one"].values()) > 0
    assert found["rolling"]["calls"] > 0
    assert 0 < found["rolling"]["rolling_ms"] <= found["rolling"]["worst_ms"]


def test_options_of_other_suites_are_refused() -> None:
    ran = CliRunner().invoke(app, ["bench", "msm", "--soak", "1"])
    assert ran.exit_code == 2
    ran = CliRunner().invoke(app, ["bench", "service", "--sweep"])
    assert ran.exit_code == 2


def test_a_server_that_does_not_start_is_an_error() -> None:
    with (
        pytest.raises(ServerFailed, match="before it was ready"),
        server("--grpc", "127.0.0.1:0", "--unheard-of"),
    ):
        pass


def test_a_wrong_service_ends_the_command_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(**_: Any) -> Any:
        raise ServiceWrong("service.stream", "1 wrong")

    monkeypatch.setattr("supervm.benchmarks.service.suite.run_service", wrong)
    ran = CliRunner().invoke(app, ["bench", "service", "--json"])
    assert ran.exit_code == 1
    assert json.loads(ran.stdout)["error"]["type"] == "ServiceWrong"
