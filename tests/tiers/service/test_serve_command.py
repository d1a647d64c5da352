# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm serve` as a process: what it says when it is ready, and how signals end it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from patience import PATIENCE
from signed_requests import single

from supervm.crypto.selftest import SelfTest
from supervm.tiers.gpus import driver_present
from supervm.tiers.service import serving
from supervm.tiers.service.v1 import verification_pb2_grpc as rpc


@contextmanager
def process(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A serving process and what it printed when it was ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVM_")}
    if "SUPERVM_CACHE_DIR" in os.environ:
        environment["SUPERVM_CACHE_DIR"] = os.environ["SUPERVM_CACHE_DIR"]
    program = "from supervm.tiers.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", "--grpc", "127.0.0.1:0", "--json", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment | variables
    ) as serving:
        try:
            assert serving.stdout is not None
            text = ""
            for line in serving.stdout:
                text += line
                if line == "}\n":
                    break
            yield serving, json.loads(text)
        finally:
            serving.kill()


def test_it_serves_until_a_signal(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("me 0123456789abcdef\n")
    with process("--tokens", str(tokens), "--tier", "L3") as (child, ready):
        assert ready.pop("seconds") > 0
        address = ready.pop("grpc")
        assert ready.pop("threads") >= 1
        assert ready == {
            "process": child.pid,
            "http": None,
            "operations": None,
            "tls": "off",
            "tokens": True,
            "tier": "L3",
            "backend": "auto",
        }
        with grpc.insecure_channel(address) as channel:
            metadata = (("authorization", "Bearer 0123456789abcdef"),)
            reply = rpc.VerificationStub(channel).Verify(single(1), timeout=PATIENCE, metadata=metadata)
            assert reply.verdicts == b"\1"
            child.send_signal(signal.SIGTERM)
            assert child.wait(PATIENCE) == 0


def test_who_hears_that_it_is_ready_may_stop_it_at_once() -> None:
    with process() as (child, _):
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0


def test_http_beside_grpc_and_what_it_says_while_draining() -> None:
    with process("--http", "127.0.0.1:0") as (child, ready), grpc.insecure_channel(ready["grpc"]) as channel:
        reply = rpc.VerificationStub(channel).Verify(single(1), timeout=PATIENCE)
        assert reply.verdicts == b"\1"
        base = f"http://{ready['http']}"
        assert httpx.get(f"{base}/readyz", timeout=PATIENCE).text == "ready\n"
        metrics = httpx.get(f"{base}/metrics", timeout=PATIENCE).text
        assert re.search(r'supervm_verify_items_total\{.*scheme="ed25519".*\} 1\.0', metrics)
        assert 'supervm_requests_total{call="Verify",code="OK"} 1.0' in metrics
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 0


def test_operations_on_a_port_of_their_own() -> None:
    """Which is then the only one that has them; and the first lines of a log that has nothing to say."""
    addresses = {"SUPERVM_SERVICE_OPERATIONS": "127.0.0.1:0"}
    with process("--http", "127.0.0.1:0", **addresses) as (child, ready):
        http, operations = (f"http://{ready[name]}" for name in ("http", "operations"))
        body = {"function": "sha256", "messages": [""]}
        assert httpx.post(f"{http}/v1/hash", json=body, timeout=PATIENCE).status_code == 200
        for path in ("/", "/healthz", "/readyz", "/metrics", "/status.json"):
            assert httpx.get(f"{operations}{path}", timeout=PATIENCE).status_code == 200
            assert httpx.get(f"{http}{path}", timeout=PATIENCE).status_code == 404
        assert httpx.post(f"{operations}/v1/hash", json=body, timeout=PATIENCE).status_code == 404
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0


def test_what_nobody_sent_is_not_shown() -> None:
    """Signatures whose verdicts are known are verified at the start."""
    with process("--http", "127.0.0.1:0") as (child, ready):
        base = f"http://{ready['http']}"
        body = {"function": "sha256", "messages": [""]}
        for _ in range(3):
            assert httpx.post(f"{base}/v1/hash", json=body, timeout=PATIENCE).status_code == 200
        status = httpx.get(f"{base}/status.json", timeout=PATIENCE).json()
        batches: Counter[str] = Counter()
        for one in status["kernels"]:  # a row for each backend: what was measured meanwhile may change it
            batches[one["operation"]] += one["batches"]
        assert batches == {"sha256": 3}
        assert [(one["call"], one["codes"]) for one in status["requests"]] == [("/v1/hash", {"OK": 3})]
        assert status["verified"] == []
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=PATIENCE)
        if not driver_present():
            assert status["fallbacks"] == []
            assert "CuPy" not in said


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--grpc", "nowhere"), 2, "HOST:PORT"),
        (("--grpc", "off"), 2, "service.grpc"),
        (("--tls-key", "key.pem"), 2, "service.tls.certificate"),
        (("--tls-certificate", "none.pem"), 2, "service.tls.key"),
        (
            ("--tls-certificate", "none.pem", "--tls-key", "none.pem"),
            2,
            "flag --tls-certificate: setting 'service.tls.certificate': found 'none.pem': No such file",
        ),
        (
            ("--tokens", "no such file"),
            2,
            "flag --tokens: setting 'service.tokens': found 'no such file': No such file",
        ),
        (("--grpc", "192.0.2.1:1"), 3, "192.0.2.1:1"),
    ],
)
def test_what_cannot_be_served(
    run: Callable[..., Any], arguments: tuple[str, ...], code: int, told: str
) -> None:
    result = run("serve", "--json", *arguments)
    assert result.exit_code == code, result.output
    assert told in result.output


def test_a_backend_that_is_wrong_does_not_serve(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(operation: str, backend: str) -> SelfTest:
        return SelfTest(operation, backend, operation != "secp256k1.schnorr_verify", "row 3 is 0, expected 1")

    monkeypatch.setattr(serving, "known_answers", wrong)
    result = run("serve", "--json", "--grpc", "127.0.0.1:0")
    assert result.exit_code == 3
    assert "schnorr_verify: row 3 is 0, expected 1" in result.output
