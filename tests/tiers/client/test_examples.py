# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in other languages, against a real service; skipped, with the reason, where their tools are not there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from patience import PATIENCE

from supervm.benchmarks.service.process import server

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "docs" / "examples"
PROTO = ROOT / "tiers" / "service" / "proto" / "supervm" / "v1" / "verification.proto"
TOKEN = "0123456789abcdef-example"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """What a service that asks for tokens says of itself."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"example {TOKEN}\n")
    with server("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--tokens", tokens) as running:
        yield running.said


def _run(*command, token=TOKEN, **options):
    environment = {**os.environ, "SUPERVM_TOKEN": token}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=environment, check=False, **options
    )


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """The Node.js example with its packages in a tree like the repository's, outside it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    tree = tmp_path_factory.mktemp("node")
    folder = tree / "docs" / "examples" / "node"
    folder.mkdir(parents=True)
    for name in ("package.json", "verify.js"):
        shutil.copy(EXAMPLES / "node" / name, folder)
    proto = tree / PROTO.relative_to(ROOT)
    proto.parent.mkdir(parents=True)
    shutil.copy(PROTO, proto)
    done = _run(
        "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, cwd=tree.parent
    )
    if done.returncode:
        pytest.skip(f"npm cannot install the example's packages: {done.stderr.strip()[-200:]}")
    return folder


@pytest.mark.slow
def test_node(node, service):
    done = _run("node", "verify.js", service["grpc"], PROTO, cwd=node)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"batch": [1, 1, 0, -1], "stream": [1, 1, 0, -1]}


@pytest.mark.slow
def test_node_from_any_folder(node, service, tmp_path):
    for folder, program in (
        (tmp_path, node / "verify.js"),
        (node.parents[2], Path("docs", "examples", "node", "verify.js")),
        (Path("/"), node / "verify.js"),
    ):
        done = _run("node", program, service["grpc"], cwd=folder)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["batch"] == [1, 1, 0, -1]


@pytest.mark.slow
def test_node_says_what_is_missing(node, tmp_path):
    """A copy of the example without its packages, without the .proto, and without an address."""
    copy = tmp_path / "node"
    copy.mkdir()
    for name in ("package.json", "verify.js"):
        shutil.copy(node / name, copy)
    done = _run("node", copy / "verify.js", "127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"@grpc/grpc-js is not installed: npm install --prefix {copy}/"]
    (copy / "node_modules").symlink_to(node / "node_modules")
    done = _run("node", copy / "verify.js", "127.0.0.1:1")
    assert done.returncode == 2
    assert "verification.proto: no such file; outside the repository, name" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = _run("node", copy / "verify.js")
    assert (done.returncode, done.stderr) == (2, "usage: node verify.js ADDRESS [PROTO]\n")


@pytest.mark.slow
def test_node_without_a_known_token(node, service):
    done = _run("node", "verify.js", service["grpc"], PROTO, cwd=node, token="wrong")
    assert done.returncode == 1
    assert "UNAUTHENTICATED" in done.stderr


def test_versions_are_pinned():
    package = json.loads((EXAMPLES / "node" / "package.json").read_text())
    assert all(version[0].isdigit() for version in package["dependencies"].values())


def test_curl(service, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    script = EXAMPLES / "curl" / "verify.sh"
    for address in (f"http://{service['http']}", f"http://{service['http']}/"):
        done = _run("sh", script, address, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"verdicts": [1, 0]}
    done = _run("sh", script)
    assert (done.returncode, done.stderr) == (2, "usage: sh verify.sh http://HOST:PORT\n")
    done = _run("sh", script, f"http://{service['http']}", token="")
    assert done.returncode == 22
    assert json.loads(done.stdout)["code"] == "UNAUTHENTICATED"
