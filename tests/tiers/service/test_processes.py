# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes that serve: started, watched, told apart, and replaced one by one while callers lose nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import nginx
import psutil
import pytest
from command_line import process
from patience import PATIENCE, until
from prometheus_client.parser import text_string_to_metric_families
from signed_requests import Signed, ed25519_signed, single

from supervm.tiers import Hardware, status_view
from supervm.tiers.client import AsyncClient, Client
from supervm.tiers.errors import SettingError
from supervm.tiers.service import supervision
from supervm.tiers.service.placement import Place
from supervm.tiers.service.process_pages import merged
from supervm.tiers.service.v1.verification_pb2_grpc import VerificationStub
from supervm.tiers.service.worker import Instructions
from supervm.tiers.settings import load

PAUSE = 0.01
"""Between two requests of a caller: the processes share the cores with them."""

HEALTH = '"healthCheckConfig": {"serviceName": "supervm.v1.Verification"}'
RETRIES = """"methodConfig": [{"name": [{"service": "supervm.v1.Verification"}], "retryPolicy": {
    "maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]}}]"""

SIGNED = [ed25519_signed(index) for index in range(6)]


class Service:
    """`supervm serve --processes`, and what it logs."""

    def __init__(self, child: Any, said: dict[str, Any]) -> None:
        self.child, self.said = child, said
        self.log: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.child.stderr:
            if line.startswith("{"):
                self.log.append(json.loads(line))

    def ask(self, path: str) -> httpx.Response:
        return httpx.get(f"http://{self.said['operations']}{path}", timeout=PATIENCE)

    def processes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("/processes.json").json()
        return found

    def logged(self, message: str) -> bool:
        return any(line["message"] == message for line in self.log)


@contextmanager
def serving(folder: Path, *arguments: object, settings: str = "") -> Iterator[Service]:
    config = folder / "supervm.toml"
    # Callers that share the cores with everything else may stand still for longer than a second.
    config.write_text(f'[service]\noperations = "127.0.0.1:0"\n[service.notice]\nseconds = 5\n{settings}')
    ports = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    with process("serve", "--config", config, *ports, *arguments) as (child, said):
        yield Service(child, said)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two processes with addresses of their own; a proxy's connections have ended when the notice has."""
    arguments = ("--processes", 2, "--addresses", "own")
    short = "[service.connection]\nseconds = 2\n"
    with serving(tmp_path_factory.mktemp("own"), *arguments, settings=short) as service:
        yield service
        service.child.send_signal(signal.SIGTERM)
        assert service.child.wait(PATIENCE) == 0


@pytest.fixture(scope="module")
def proxy(own: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """nginx before them: its addresses of gRPC and HTTP; none where it is not installed."""
    if nginx.installed() is None:
        yield []
        return
    published = {"grpc": ("127.0.0.1:50051", "127.0.0.1:50052"), "http": ("127.0.0.1:8080", "127.0.0.1:8081")}
    addresses = {
        written: found
        for name in published
        for written, found in zip(published[name], own.said[name].split(","), strict=True)
    }
    with nginx.running(tmp_path_factory.mktemp("nginx"), addresses) as listening:
        yield listening


def test_what_it_says_of_its_processes(own: Service) -> None:
    said = own.said["processes"]
    assert [one["process"] for one in said] == [0, 1]
    assert len({one["pid"] for one in said} | {own.child.pid}) == 3
    assert own.said["process"] == own.child.pid
    for name in ("grpc", "http"):
        addresses = [one[name] for one in said]
        assert len(set(addresses)) == 2
        assert own.said[name] == ",".join(addresses)
    cores = os.sched_getaffinity(0)
    assert own.said["threads"] == max(2, len(cores))
    for one in said:
        assert os.sched_getaffinity(one["pid"]) == (set(one["cores"]) or cores)


def test_metrics_of_all_are_told_apart(own: Service) -> None:
    for address in own.said["grpc"].split(","):
        with Client(address) as client:
            one = SIGNED[1]
            assert client.verify_ed25519([one.key], [one.message], [one.signature]).tolist() == [1]
    families = {family.name: family for family in text_string_to_metric_families(own.ask("/metrics").text)}
    answered = {
        sample.labels["process"]: sample.value
        for sample in families["supervm_requests"].samples
        if sample.labels["call"] == "Verify" and sample.labels["code"] == "OK"
    }
    assert set(answered) == {"0", "1"}
    assert min(answered.values()) >= 1
    for name in (
        "supervm_queue_depth",
        "supervm_process_ready",
        "supervm_process_restarts",
        "supervm_build_info",
    ):
        assert {sample.labels["process"] for sample in families[name].samples} == {"0", "1"}, name
    ready = {sample.value for sample in families["supervm_process_ready"].samples}
    assert ready == {1}
    assert own.ask("/readyz").text == "2 of 2 ready\n"
    assert own.ask("/healthz").status_code == 200
    for one in own.processes():  # each has the usual pages, and no page is at the ports of calls
        address = own.said["operations"]
        status = status_view.ask(f"http://{address}/processes/{one['process']}")
        assert status.state == "ready"
        assert own.ask(f"/processes/{one['process']}/readyz").text == "ready\n"
        page = own.ask(f"/processes/{one['process']}/")
        assert page.text == httpx.get(f"http://{one['operations']}/", timeout=PATIENCE).text
        assert "script-src 'sha256-" in page.headers["content-security-policy"]
        assert f'href="processes/{one["process"]}/"' in own.ask("/").text
        assert httpx.get(f"http://{one['http']}/metrics", timeout=PATIENCE).status_code == 404
    assert [own.ask(f"/processes/{wrong}").status_code for wrong in ("2/", "0/v1/verify")] == [404, 404]


def test_one_that_is_killed_is_started_again_while_the_other_answers(own: Service) -> None:
    before = own.processes()
    with Client(own.said["grpc"]) as client:
        os.kill(before[0]["pid"], signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while (now := own.processes())[0]["state"] != "ready" or now[0]["pid"] == before[0]["pid"]:
            assert time.monotonic() < end
            verdicts = client.verify_ed25519(*columns(SIGNED))
            assert verdicts.tolist() == [one.verdict for one in SIGNED]
            time.sleep(PAUSE)
    assert now[1]["pid"] == before[1]["pid"]
    assert [one["restarts"] for one in now] == [before[0]["restarts"] + 1, before[1]["restarts"]]
    assert [one["grpc"] for one in now] == [one["grpc"] for one in before]


class Quiet:
    """A process that serves; it speaks between the first counts of its silence, and then no more."""

    def __init__(self, words: int) -> None:
        self.words, self.counts, self.killed = words, 0, asyncio.Event()
        self._silent = 0

    @property
    def silent(self) -> int:
        return self._silent

    @silent.setter
    def silent(self, value: int) -> None:
        self.counts += 1
        self._silent = 0 if self.counts <= self.words else value

    async def kill(self) -> int:
        self.killed.set()
        return -signal.SIGKILL


@pytest.mark.parametrize("words", [0, 1, 40])
def test_one_that_hangs_is_killed(words: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def watched() -> int:
        keeper = supervision.Keeper(Place((), (), 1), Instructions(0), 1.0)
        keeper.child = child = Quiet(words)  # type: ignore[assignment]
        watching = asyncio.create_task(keeper.watch())
        await asyncio.wait_for(child.killed.wait(), PATIENCE)
        watching.cancel()
        return child.counts

    monkeypatch.setattr(supervision, "PULSE_SECONDS", 0.001)
    assert asyncio.run(watched()) == words + supervision.MOST_SILENT + 1


def columns(signed: list[Signed]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    return [one.key for one in signed], [one.message for one in signed], [one.signature for one in signed]


class Load:
    """Callers that call until they are to stop; everything that is no right answer counts.

    Args:
        service: whom.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.outcome: Counter[str] = Counter()
        self._over = False

    async def run(self, *callers: Callable[[], Awaitable[None]], during: Callable[[], Any]) -> None:
        """Call before, while and after something is done on a thread."""
        tasks = [asyncio.create_task(caller()) for caller in callers]  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(PATIENCE):
                while len(self.outcome) < len(callers):
                    await asyncio.sleep(PAUSE)
                await asyncio.to_thread(during)
                await asyncio.sleep(0.2)
                self._over = True
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def client(self) -> None:
        """Our client: all signatures in a call."""
        async with AsyncClient(self.service.said["grpc"]) as client:
            while not self._over:
                verdicts = await client.verify_ed25519(*columns(SIGNED))
                self._note("client", verdicts.tolist() == [one.verdict for one in SIGNED])
                await asyncio.sleep(PAUSE)

    async def stream(self) -> None:
        """Our client: a stream that stays open."""
        async with AsyncClient(self.service.said["grpc"]) as client, client.stream() as stream:
            while not self._over:
                for one in SIGNED:
                    verdict = await stream.submit_ed25519(one.key, one.message, one.signature)
                    self._note("stream", await verdict == one.verdict)
                await asyncio.sleep(PAUSE)

    async def standard(self, more: str = HEALTH, target: str = "") -> None:
        """A client of gRPC that knows nothing but its service config."""
        policy = f'{{"loadBalancingConfig": [{{"round_robin": {{}}}}]{more and ", "}{more}}}'
        options = (("grpc.service_config", policy), ("grpc.use_local_subchannel_pool", 1))
        target = f"ipv4:{target or self.service.said['grpc']}"
        async with grpc.aio.insecure_channel(target, options) as channel:
            verify, who = VerificationStub(channel).Verify, "standard" if more else "proxy"
            while not self._over:
                try:
                    reply = await verify(single(1), timeout=PATIENCE)
                    self._note(who, reply.verdicts == b"\1")
                except grpc.aio.AioRpcError as error:
                    self.outcome[f"{who} {error.code().name}: {error.details()}"] += 1
                await asyncio.sleep(PAUSE)

    async def retrying(self) -> None:
        """The same, with one address and the retries of its service config."""
        await self.standard(RETRIES)

    async def http(self, target: str = "") -> None:
        """Connections that are kept, to each address of HTTP."""
        who = "proxy of http" if target else "http"
        one = SIGNED[1]
        body = {
            "scheme": "ed25519",
            "public_keys": [one.key.hex()],
            "messages": [one.message.hex()],
            "signatures": [one.signature.hex()],
        }
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            while not self._over:
                for address in (target or self.service.said["http"]).split(","):
                    try:
                        found = await client.post(f"http://{address}/v1/verify", json=body)
                        self._note(who, found.status_code == 200 and found.json()["verdicts"] == [1])
                    except httpx.HTTPError as error:
                        self.outcome[f"{who} {error!r}"] += 1
                await asyncio.sleep(PAUSE)

    def _note(self, who: str, right: bool) -> None:
        self.outcome[who if right else f"{who} wrong"] += 1


def rolled(service: Service) -> None:
    """Replace all processes."""
    before = service.processes()
    service.log.clear()
    service.child.send_signal(signal.SIGHUP)
    until(lambda: service.logged("processes are replaced: done"))
    after = service.processes()
    assert not {one["pid"] for one in before} & {one["pid"] for one in after}
    assert [one["restarts"] for one in after] == [one["restarts"] for one in before]
    assert not [one["pid"] for one in before if psutil.pid_exists(one["pid"])]
    assert service.child.poll() is None


def test_while_all_are_replaced_nothing_is_lost(own: Service, proxy: list[str]) -> None:
    """Clients of gRPC that watch health need no retries for that, nor do those behind a proxy that repeats calls."""
    load = Load(own)
    callers, expected = (
        [load.client, load.stream, load.standard, load.http],
        {"client", "stream", "standard", "http"},
    )
    if proxy:
        callers += [partial(load.standard, "", proxy[0]), partial(load.http, proxy[1])]
        expected |= {"proxy", "proxy of http"}
    asyncio.run(load.run(*callers, during=lambda: rolled(own)))
    assert set(load.outcome) == expected, load.outcome


def test_a_proxy_stands_before_both(own: Service, proxy: list[str]) -> None:
    """The published configuration of nginx: calls, streams and HTTP."""
    if not proxy:
        pytest.skip("nginx is not installed (Debian: nginx)")
    asked = [one["pid"] for one in own.processes()]
    with Client(proxy[0]) as client, client.stream() as stream:
        for _ in range(8):
            assert client.verify_ed25519(*columns(SIGNED)).tolist() == [one.verdict for one in SIGNED]
        futures = [stream.submit_ed25519(one.key, one.message, one.signature) for one in SIGNED]
        assert [future.result(60) for future in futures] == [one.verdict for one in SIGNED]
    body = {"function": "sha256", "messages": [""]}
    found = httpx.post(f"http://{proxy[1]}/v1/hash", json=body, timeout=PATIENCE)
    assert found.json()["digests"] == [f"0x{hashlib.sha256().hexdigest()}"]
    assert httpx.get(f"http://{proxy[1]}/metrics", timeout=PATIENCE).status_code == 404
    assert asked == [one["pid"] for one in own.processes()]


def test_behind_one_address_nothing_is_lost_either_and_none_outlives_who_started_it(tmp_path: Path) -> None:
    """Clients of gRPC need retries for that, or connections that end by themselves. A process for each node: mostly one."""
    with serving(tmp_path, "--processes", "numa") as service:
        assert "," not in service.said["grpc"] + service.said["http"]
        load = Load(service)
        asyncio.run(
            load.run(load.client, load.stream, load.retrying, load.http, during=lambda: rolled(service))
        )
        assert set(load.outcome) == {"client", "stream", "standard", "http"}, load.outcome
        numbers = [one["pid"] for one in service.processes()]
        service.child.kill()
        service.child.wait(PATIENCE)
        until(lambda: not any(psutil.pid_exists(number) for number in numbers))


# What does not start ---------------------------------------------------------------------------------------


def test_a_port_that_is_taken(run: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for port, other in (("--grpc", "--http"), ("--http", "--grpc")):
            result = run("serve", "--processes", 2, port, address, other, "127.0.0.1:0", "--json")
            assert result.exit_code == 3, result.output
            assert address in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--processes", "0"), "from 1 to 1024"),
        (("--processes", "several"), "from 1 to 1024"),
        (("--processes", "2", "--addresses", "both"), "one of shared, own"),
        (("--processes", "2", "--grpc", "off"), "service.grpc"),
        (("--processes", "2", "--tokens", "no such file"), "setting 'service.tokens': found 'no such file'"),
        (
            ("--processes", "3", "--addresses", "own", "--grpc", "127.0.0.1:65534"),
            "'127.0.0.1:65534', and 3 processes with an address each, expected a port up to 65533",
        ),
    ],
)
def test_what_cannot_be_served(run: Callable[..., Any], arguments: tuple[str, ...], told: str) -> None:
    result = run("serve", "--json", *arguments)
    assert result.exit_code == 2, result.output
    assert told in result.output


def test_a_process_that_does_not_serve_ends_them_all(run: Callable[..., Any]) -> None:
    keys = "no such folder"
    result = run("serve", "--json", "--processes", "numa", "--grpc", "127.0.0.1:0", "--groth16-keys", keys)
    assert result.exit_code == 3, result.output
    assert keys in json.loads(result.stdout)["error"]["message"]
    assert not [one for one in psutil.Process().children() if "supervm.tiers.service.worker" in one.cmdline()]


def test_addresses_follow_one_another() -> None:
    flags = {"service.grpc": "127.0.0.1:50051", "service.http": "[::1]:0"}
    settings = load(Hardware(cores=1, memory=1 << 30), flags=flags, environment={})
    found = supervision.addresses(settings, "service.grpc", 3)
    assert found == ["127.0.0.1:50051", "127.0.0.1:50052", "127.0.0.1:50053"]
    assert supervision.addresses(settings, "service.http", 2) == ["[::1]:0", "[::1]:0"]
    with pytest.raises(SettingError, match="15486"):
        supervision.addresses(settings, "service.grpc", 15486)


def test_a_reserved_port_takes_nobody_in_and_is_not_shared_with_another_service() -> None:
    with supervision.reserve("127.0.0.1:0") as first:
        port = first.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
        with pytest.raises(OSError, match="in use"):
            supervision.reserve(f"127.0.0.1:{port}")


def test_expositions_become_one() -> None:
    text = '# HELP a_total What.\n# TYPE a_total counter\na_total{x="1"} 2.0\n'
    (family,) = merged({0: text, 1: text.replace("2.0", "3.0")})
    assert (family.name, family.type, family.documentation) == ("a", "counter", "What.")
    assert [(one.name, one.labels, one.value) for one in family.samples] == [
        ("a_total", {"x": "1", "process": "0"}, 2.0),
        ("a_total", {"x": "1", "process": "1"}, 3.0),
    ]
