# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus scrapes a real service, node and shard, and evaluates every rule and panel on series that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from engine_runs import blocks_of
from node_chains import block_files
from patience import PATIENCE

from supervm.benchmarks.service.process import server
from supervm.tiers.client import Client
from supervm.tiers.node.blocks import GENESIS_FILE, write_block
from supervm.tiers.shards.shard_map import ShardMap

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "observability"
UNIT_TESTS = Path(__file__).with_name("alerts_test.yml")
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text("utf-8"))
TARGETS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]

NEEDS_A_DEVICE = {
    "supervm_backend_fallback_total",
    "supervm_backend_mismatch_total",
    "supervm_device_memory_bytes",
}
"""What has no series before a device was there, and failed or took memory."""

NEEDS_PROCESSES = {"supervm_process_ready", "supervm_process_restarts_total"}
"""What a service of several processes has."""

COMMAND = (sys.executable, "-c", "from supervm.tiers.cli import main; main()")
NODE = (*COMMAND, "node", "--json")
SHARD = (*COMMAND, "shard", "serve", "--json")


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus)")
    return found


def promtool(*arguments: object) -> str:
    command = [tool("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_and_the_rules_are_valid() -> None:
    assert "1 rule files found" in promtool("check", "config", FOLDER / "prometheus.yml")
    assert f"{len(RULES)} rules found" in promtool("check", "rules", FOLDER / "alerts.yml")


def test_alerts_fire_when_they_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", UNIT_TESTS)


def test_every_alert_has_a_test_that_fires_and_one_that_does_not() -> None:
    cases = [
        (case["alertname"], bool(case["exp_alerts"]))
        for group in yaml.safe_load(UNIT_TESTS.read_text("utf-8"))["tests"]
        for case in group["alert_rule_test"]
    ]
    names = {rule["alert"] for rule in RULES}
    assert set(cases) == {(name, fires) for name in names for fires in (True, False)}


class Prometheus:
    """One that runs; questions go to its HTTP interface."""

    def __init__(self, address: str) -> None:
        self._address = address

    def wait_until_ready(self) -> None:
        """It listens before it answers."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=PATIENCE):
                    return
            except urllib.error.HTTPError as error:
                error.close()
                assert time.monotonic() < until, "Prometheus does not become ready"
            time.sleep(0.1)

    def ask(self, path: str, **parameters: object) -> Any:
        """The data of an answer; what it cannot evaluate is an error of HTTP, with its words."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(
                f"http://{self._address}/api/v1/{path}?{query}", timeout=20
            ) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                pytest.fail(f"{parameters}: {error.read().decode()}")
        assert found["status"] == "success"
        assert not found.get("warnings")
        return found["data"]

    def series(self, expression: str) -> list[Any]:
        """What an expression has now; evaluated over the last minute too, as a panel does."""
        now = time.time()
        over = self.ask("query_range", query=expression, start=now - 60, end=now, step=5)
        assert over["resultType"] == "matrix"
        return list(self.ask("query", query=expression)["result"])


@contextmanager
def prometheus(folder: Path, targets: list[str]) -> Iterator[Prometheus]:
    """One with the published configuration, but for addresses and intervals, on a free port."""
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(FOLDER / name) for name in configuration["rule_files"]]
    (job,) = configuration["scrape_configs"]
    assert len(job["static_configs"][0]["targets"]) == len(targets)
    job["static_configs"][0]["targets"] = targets
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration))
    process = subprocess.Popen(
        [
            tool("prometheus"),
            f"--config.file={path}",
            f"--storage.tsdb.path={folder / 'series'}",
            "--web.listen-address=127.0.0.1:0",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    log: list[str] = []
    # What it logs later is read as well, so that it never waits for a full pipe.
    reader = threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True)
    try:
        address = ""
        for line in process.stderr:
            log.append(line)
            if match := re.search(r'msg="Listening on" address=(\S+)', line):
                address = match[1]
                break
        assert address, "".join(log)
        reader.start()
        found = Prometheus(address)
        found.wait_until_ready()
        yield found
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)
        if reader.is_alive():
            reader.join(PATIENCE)
        process.stderr.close()


class Traffic:
    """Calls to the service and blocks for the node, a little more with each call of `more`."""

    def __init__(self, grpc: str, blocks: Path, files: list[bytes]) -> None:
        key = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
        self._public = key.public_key().public_bytes_raw()
        self._signature = key.sign(b"message")
        self._client = Client(grpc)
        self._blocks, self._files = blocks, enumerate(files, 1)

    def more(self) -> None:
        with self._client.stream() as stream:
            stream.submit_ed25519(self._public, b"message", self._signature).result(60)
        keys, signatures = [self._public] * 2, [self._signature] * 2
        found = self._client.verify_ed25519(keys, [b"message", b"another"], signatures, timeout=PATIENCE)
        assert found.tolist() == [1, 0]
        number, data = next(self._files, (0, b""))
        if number:
            write_block(self._blocks, number, data)

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Traffic, list[str]]]:
    """A service and a node at work, a shard beside them, and who scrapes them."""
    tool("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    workload = blocks_of("mixed", transactions=1200, accounts=20, block_size=5, signed=False, seed=4)
    blocks = folder / "blocks"
    files = block_files(blocks, workload)
    places = ("--genesis", blocks / GENESIS_FILE, "--blocks", blocks, "--state", folder / "state")
    ports = ("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
    one = ("--threads", 1, *ports)
    shards = folder / "shards.json"
    shards.write_text(ShardMap.uniform(1, ("127.0.0.1:1",)).text())
    with (
        server(*one) as service,
        server("--tier", "L2", *places, *one, "--no-signatures", command=NODE) as node,
        server(0, "--map", shards, *ports, command=SHARD) as shard,
    ):
        traffic = Traffic(service.grpc, blocks, files)
        addresses = [service.http, node.http, shard.http]
        try:
            with prometheus(folder, addresses) as found:
                yield found, traffic, addresses
        finally:
            traffic.close()


def _metrics(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:(?:supervm|vm|cross_shard)_\w+|up\b)", expression))


def _as_grafana_asks(expression: str) -> str:
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*")


def _wait(traffic: Traffic, what: Any) -> None:
    """Traffic until nothing is missing any more."""
    until = time.monotonic() + PATIENCE
    while missing := what():
        assert time.monotonic() < until, f"still missing: {missing}"
        traffic.more()
        time.sleep(0.5)


@pytest.mark.slow
def test_both_are_scraped_and_every_series_is_there(running: tuple[Prometheus, Traffic, list[str]]) -> None:
    found, traffic, addresses = running
    wanted = (
        set().union(*map(_metrics, TARGETS), *(_metrics(rule["expr"]) for rule in RULES))
        - NEEDS_A_DEVICE
        - NEEDS_PROCESSES
    )

    def missing() -> set[str]:
        up = {row["metric"]["instance"] for row in found.series('up{job="supervm"} == 1')}
        return (set(addresses) - up) | (wanted - set(found.ask("label/__name__/values")))

    _wait(traffic, missing)
    builds = found.series("supervm_build_info")  # what the dashboard's variable lists
    assert {row["metric"]["instance"] for row in builds} == set(addresses)


@pytest.mark.slow
def test_every_panel_shows_something(running: tuple[Prometheus, Traffic, list[str]]) -> None:
    found, traffic, _ = running
    shown = [each for each in TARGETS if not _metrics(each) & NEEDS_A_DEVICE or "vector(0)" in each]
    assert len(shown) == len(TARGETS) - 2

    def empty() -> list[str]:
        return [
            expression
            for expression in shown
            if not any(row["value"][1] != "NaN" for row in found.series(_as_grafana_asks(expression)))
        ]

    _wait(traffic, empty)
    for expression in TARGETS:
        found.series(_as_grafana_asks(expression))


@pytest.mark.slow
def test_every_rule_is_evaluated(running: tuple[Prometheus, Traffic, list[str]]) -> None:
    found, traffic, _ = running

    def rules() -> list[Any]:
        return [rule for group in found.ask("rules")["groups"] for rule in group["rules"]]

    _wait(traffic, lambda: [rule["name"] for rule in rules() if rule["health"] == "unknown"])
    assert [rule["name"] for rule in rules()] == [rule["alert"] for rule in RULES]
    for rule in rules():
        assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule["name"]
        assert rule["state"] != "firing", rule["name"]
