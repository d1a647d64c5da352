# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm fetch`: folders, what is said of them, and that nothing is asked or written where it is of no use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_node import FakeNode, serving
from typer.testing import Result

DATA = Path(__file__).resolve().parents[2] / "benchmarks" / "data" / "evm"
Run = Callable[..., Result]


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with serving(FakeNode(DATA / "8")) as fake:
        yield fake


def test_folders_and_what_is_said_of_them(run: Run, node: FakeNode, tmp_path: Path) -> None:
    result = run("fetch", "--rpc", node.url, "latest", "0x8", "8-8", "--out", tmp_path / "new", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["chain_id"], answer["fork"]) == (31_337, "osaka")
    assert node.url.startswith(f"http://{answer['node']}/")
    (block,) = answer["blocks"]
    assert (block["number"], block["transactions"], block["complete"]) == (8, 7, True)
    assert (block["touched_by"], block["state_by"]) == ("debug_traceBlockByNumber", "eth_getProof")
    folder = Path(block["folder"])
    assert folder == tmp_path / "new" / "8"
    assert block["accounts"] == len(json.loads((folder / "pre_state.json").read_text()))
    assert block["nodes"] == len(json.loads((folder / "nodes.json").read_text()))
    assert (folder / "block.json").read_bytes() == (DATA / "8" / "block.json").read_bytes()
    before = len(node.asked)
    again = run("fetch", "--rpc", node.url, "8", "--out", tmp_path / "new")
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert set(node.asked[before:]) <= {"eth_chainId", "anvil_nodeInfo"}


def test_a_table_and_notes(run: Run, node: FakeNode, tmp_path: Path) -> None:
    node.lacking = {"debug_traceBlockByNumber"}
    result = run("fetch", "--rpc", node.url, "8", "--out", tmp_path, "--fork", "prague")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "8") in result.stdout
    assert "something may be lacking" in result.stderr
    assert json.loads((tmp_path / "8" / "chain.json").read_text()) == {"chain_id": 31_337, "fork": "prague"}


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (("nine",), "'nine', expected a number"),
        (("9-8",), "'9-8'"),
        (("1-99999",), "10,000"),
        (("0",), "first block runs on no state"),
    ],
)
def test_wrong_use(run: Run, node: FakeNode, tmp_path: Path, blocks: tuple[str, ...], message: str) -> None:
    result = run("fetch", "--rpc", node.url, *blocks, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 2
    assert message in json.loads(result.stdout)["error"]["message"]
    assert not (tmp_path / "out").exists()
    unknown = run("fetch", "--rpc", node.url, "8", "--out", tmp_path / "out", "--fork", "spoon")
    assert (unknown.exit_code, "spoon" in unknown.stderr) == (2, True)
    assert run("fetch", "--rpc", "ftp://127.0.0.1", "8", "--out", tmp_path / "out").exit_code == 2


def test_exit_codes_of_nodes(run: Run, node: FakeNode, tmp_path: Path) -> None:
    """2 for an answer that is not what was asked for, 3 for none; what was written before stays."""
    node.altered["debug_traceBlockByNumber"] = lambda result: result[1:]
    malformed = run("fetch", "--rpc", node.url, "8", "--out", tmp_path, "--json")
    assert malformed.exit_code == 2
    assert "debug_traceBlockByNumber" in json.loads(malformed.stdout)["error"]["message"]
    node.altered = {}
    refused = run("fetch", "--rpc", node.url, "8", "7", "--out", tmp_path, "--json")
    assert refused.exit_code in (2, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["8"]
    unreachable = run("fetch", "--rpc", "http://127.0.0.1:1", "8", "--out", tmp_path / "x", "--tries", 1)
    assert unreachable.exit_code == 3
    assert "127.0.0.1:1: Connection refused, after 1 try" in unreachable.stderr
