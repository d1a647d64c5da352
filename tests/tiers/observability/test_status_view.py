# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm status --watch` against a process that answers, one that stops to, and ones that are none."""

from __future__ import annotations

import http.server
import json
import pickle
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from observed import busy, served
from rich.console import Console
from typer.testing import Result

from supervm.tiers import console, status_view
from supervm.tiers.errors import ENVIRONMENT_PROBLEM, WRONG_USE, NoAnswer
from supervm.tiers.observability.status import State
from supervm.tiers.status_view import ask, curve, draw, watch


def drawn(status: object, trouble: str = "") -> str:
    page = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with page.file:
        page.print(draw(status, trouble))  # type: ignore[arg-type]
        return page.export_text()


def test_json_is_what_the_process_tells(run: Callable[..., Result]) -> None:
    observed = busy()
    with served(observed) as address:
        result = run("status", "--watch", address, "--json")
        assert result.exit_code == 0, result.output
        answer = json.loads(result.stdout)
    assert answer["state"] == "starting"
    assert answer["verified"] == [
        {"scheme": "ed25519", "backend": "ifma", "valid": 1, "invalid": 1, "malformed": 1}
    ]
    assert answer["blocks"][0]["root"] == "01" * 32


def test_the_view_shows_every_part() -> None:
    observed = busy()
    observed.board.become(State.FAILING, "no [bold]device")
    observed.metrics.verified("[red]x", "scalar", np.ones(12_345, np.int8))
    with served(observed) as address:
        text = drawn(ask(address + "/"))
    assert "failing: no [bold]device" in text
    assert "tier L3 edge, 4 cores, 8 GB" in text
    for part in ("[red]x", "12,345", "gather", "OK 1", "20 ms", "open", "why", "010101010101", "no answer"):
        assert (part in text) != (part == "no answer"), part


def test_watching_draws_again_and_outlives_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    page = Console(width=140, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
    monkeypatch.setattr(console, "answers", lambda: page)
    real = status_view.draw
    monkeypatch.setattr(
        status_view,
        "draw",
        lambda status, trouble: pages.append(drawn(status, trouble)) or real(status, trouble),
    )
    observed = busy()
    serving = served(observed)
    address = serving.__enter__()

    def after_each() -> bool:
        if len(pages) == 1:
            observed.board.become(State.READY)
        elif len(pages) == 2:
            serving.__exit__(None, None, None)
        return len(pages) == 3

    with page.file:
        watch(address, 0.01, until=after_each)
    assert [text.split()[0] for text in pages] == ["starting", "ready", "ready"]
    assert "no answer" in pages[2]
    assert "no answer" not in pages[1]


def test_nobody_there(run: Callable[..., Result]) -> None:
    result = run("status", "--watch", "http://127.0.0.1:9", "--json")
    assert result.exit_code == ENVIRONMENT_PROBLEM
    assert "is a service or node running there?" in json.loads(result.stdout)["error"]["message"]


@pytest.mark.parametrize("address", ["127.0.0.1:80", "file:///etc/hostname", "http://", "ftp://x"])
def test_no_address(run: Callable[..., Result], address: str) -> None:
    result = run("status", "--watch", address)
    assert result.exit_code == WRONG_USE
    assert "--watch" in result.output


@pytest.fixture
def stranger() -> Iterator[str]:
    """Something else that speaks HTTP, well or badly."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/none"):
                self.send_error(404)
            elif self.path.startswith("/garbage"):
                self.wfile.write(b"\x00\x01 nothing of HTTP\r\n\r\n")
            else:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"state": 3}' if self.path.startswith("/other") else b"<html>")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["none", "garbage", "other", "page"])
def test_what_answers_is_no_status(stranger: str, path: str) -> None:
    with pytest.raises(NoAnswer) as caught:
        ask(f"{stranger}/{path}")
    assert caught.value.address == f"{stranger}/{path}/status.json"
    assert caught.value.problem
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_curves() -> None:
    assert curve([0, 1, 2, 4]) == "▁▃▅█"
    assert curve([0, 0]) == "▁▁"
    assert curve([]) == ""
