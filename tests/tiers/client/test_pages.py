# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/client.md and docs/http.md show what a service answers."""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from service_process import service_process

ROOT = Path(__file__).resolve().parents[3]
GRPC, HTTP = "127.0.0.1:50051", "127.0.0.1:8080"
PATIENCE = 300


@pytest.fixture(scope="module")
def pages():
    """Both pages, with the addresses of a service in place of theirs; by name."""
    with service_process("--http", "127.0.0.1:0") as ready:
        yield {
            name: (ROOT / "docs" / name)
            .read_text("utf-8")
            .replace(GRPC, ready["grpc"])
            .replace(HTTP, ready["http"])
            for name in ("client.md", "http.md")
        }


def _blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_client_page(pages):
    examples = "".join(_blocks(pages["client.md"], "python"))
    test = doctest.DocTestParser().get_doctest(examples, {}, "client.md", "client.md", 0)
    assert len(test.examples) > 8
    shown = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=shown.append, clear_globs=False)
    test.globs["client"].close()
    assert not runner.failures, "".join(shown)


def test_the_http_page(pages):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    shown = re.findall(r"^\$ (.*)\n([^$]*)", "".join(_blocks(pages["http.md"], "console")), re.MULTILINE)
    assert len(shown) == 5
    for command, expected in shown:
        done = subprocess.run(
            command, shell=True, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT, check=False
        )
        assert done.stdout.strip() == expected.strip(), command


def test_what_is_not_run_compiles(pages):
    for block in _blocks(pages["client.md"], "python"):
        if ">>>" not in block:
            compile(block, "client.md", "exec")
