# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm fetch`: blocks that a real node mined come back whole from every kind of node, and nothing half done is left."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from anvil import ROOT, NoNode, program
from eth_utils import keccak, to_canonical_address
from fake_node import FakeNode, serving
from patience import PATIENCE

from supervm.engine.errors import NodeAnswerMalformed, NodeRefused, NodeUnreachable
from supervm.engine.ethereum import read_block, read_pre_state
from supervm.engine.ethereum.fetch import Node, chain_of, fetch_block, rpc, write_block
from supervm.engine.ethereum.fetch.touched import ACCESS_LIST, TRACE, touched
from supervm.kernels.errors import ArgumentError

DATA = ROOT / "benchmarks" / "data" / "evm"
RECORDED = sorted((path for path in DATA.iterdir()), key=lambda path: int(path.name))
STATE = ("eth_getProof", "eth_getBalance", "eth_getTransactionCount", "eth_getStorageAt", "eth_getCode")
TOKENS = DATA / "4"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "FIRST_PAUSE", 0.0)


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with serving(FakeNode(TOKENS)) as fake:
        yield fake


def _files(folder: Path) -> dict[str, Any]:
    found = {path.name: json.loads(path.read_text()) for path in folder.iterdir()}
    return found | {"nodes.json": sorted(found.get("nodes.json", ()))}


def _fetched(fake: FakeNode, folder: Path, **how: Any) -> dict[str, Any]:
    asked = Node(fake.url, **how)
    write_block(folder, fetch_block(asked, fake.number, chain_of(asked)))
    return _files(folder)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.name)
def test_a_block_comes_back_as_it_was_recorded(recorded, tmp_path):
    with serving(FakeNode(recorded)) as fake:
        assert _fetched(fake, tmp_path / "block") == _files(recorded)
    assert read_block(tmp_path / "block").number == int(recorded.name)
    assert len(read_pre_state(tmp_path / "block")) == len(
        json.loads((recorded / "pre_state.json").read_text())
    )


def test_what_is_bundled_is_what_it_says():
    """Hashes, codes, and the root that every proof begins at."""
    assert len(RECORDED) == 5
    for folder in RECORDED:
        files = _files(folder)
        block, parent = files["block.json"], files["parent.json"]
        assert (
            block["parentHash"]
            == parent["hash"]
            == files["block_hashes.json"][str(int(parent["number"], 16))]
        )
        roots = {f"0x{keccak(hexstr=text).hex()}" for text in files["nodes.json"]}
        assert parent["stateRoot"] in roots or not roots
        for account in files["pre_state.json"].values():
            assert ("code" in account) == ("code_hash" in account)
            if "code" in account:
                assert f"0x{keccak(hexstr=account['code']).hex()}" == account["code_hash"]


def test_a_node_without_proofs(node, tmp_path):
    node.lacking = {"eth_getProof"}
    expected = _files(TOKENS)
    assert _fetched(node, tmp_path / "block") == expected | {"nodes.json": []}


def test_a_node_that_has_forgotten_the_state(node, tmp_path):
    """What the tracer told is left, and it is said of which accounts nothing is known."""
    node.lacking = set(STATE)
    stranger = f"0x{'12' * 20}"
    node.block["withdrawals"] = [
        {"index": "0x0", "validatorIndex": "0x0", "address": stranger, "amount": "0x1"}
    ]
    asked = Node(node.url)
    found = touched(asked, read_block(TOKENS), node.block)
    assert bytes.fromhex("12" * 20) in found.slots
    node.block["withdrawals"] = []
    fetched = fetch_block(asked, node.number, chain_of(asked))
    assert fetched.method == TRACE
    assert fetched.files["pre_state.json"] == _files(TOKENS)["pre_state.json"]
    assert "nodes.json" not in fetched.files


def test_a_node_without_tracer(node, tmp_path):
    node.lacking = {TRACE}
    asked = Node(node.url)
    fetched = fetch_block(asked, node.number, chain_of(asked))
    assert fetched.files["pre_state.json"] == _files(TOKENS)["pre_state.json"]
    assert (fetched.touched.complete, fetched.touched.method) == (False, ACCESS_LIST)
    assert any(ACCESS_LIST in note for note in fetched.notes)
    node.lacking = {TRACE, ACCESS_LIST}
    with pytest.raises(NodeRefused, match=f"{TRACE} and {ACCESS_LIST} are refused"):
        fetch_block(asked, node.number, chain_of(asked))
    node.lacking = {TRACE, *STATE}
    with pytest.raises(NodeRefused, match="archive node"):
        fetch_block(asked, node.number, chain_of(asked))


def test_the_first_touch_of_an_account_tells_what_it_was(node):
    """geth leaves out accounts that were empty: a later transaction finds there what an earlier one made."""
    block = read_block(TOKENS)
    paid, made, known = ("0x" + digits * 20 for digits in ("a1", "a2", "a3"))

    def traces(result: list[Any]) -> list[Any]:
        if "pre" in result[0]["result"]:
            result = [{"result": {"pre": {}, "post": {}}} for _ in result]
            result[0] = {"result": {"pre": {known: {"balance": "0x5"}}, "post": {paid: {"balance": "0x7"}}}}
            result[1] = {"result": {"pre": {}, "post": {made: {"code": "0x00", "nonce": 1}}}}
            return result
        result = [{"result": {}} for _ in result]
        result[0] = {"result": {known: {"balance": "0x5", "nonce": "0x3", "storage": {"0x1": "0x2"}}}}
        after = {"balance": "0x9", "nonce": 1, "code": "0x00", "storage": {"0x1": "0x8", "0x2": "0x4"}}
        result[2] = {"result": {paid: {"balance": "0x7"}, made: after, known: after}}
        return result

    node.altered[TRACE] = traces
    values = touched(Node(node.url), block, node.block).values
    assert values is not None
    assert vars(values[to_canonical_address(paid)]) == {"balance": 0, "nonce": 0, "code": b"", "storage": {}}
    assert values[to_canonical_address(made)].code == b""
    first = values[to_canonical_address(known)]
    assert (first.balance, first.nonce, first.code, first.storage) == (5, 3, b"", {1: 2, 2: 4})


def test_a_node_that_takes_one_call_a_request(node, tmp_path):
    node.takes_batches = False
    assert _fetched(node, tmp_path / "block") == _files(TOKENS)
    assert _fetched(node, tmp_path / "other", batch=3) == _files(TOKENS)


def test_a_request_is_tried_again(node, tmp_path):
    node.faults = [503, "drop", 429]
    assert _fetched(node, tmp_path / "block") == _files(TOKENS)
    node.faults = ["slow", 500]
    assert _fetched(node, tmp_path / "other", timeout=2.0) == _files(TOKENS)


@pytest.mark.parametrize(
    ("faults", "tries", "timeout", "message"),
    [
        ([503] * 2, 2, PATIENCE, r"HTTP status 503, after 2 tries"),
        (["drop"] * 3, 3, PATIENCE, r"after 3 tries"),
        (["slow"] * 1, 1, 0.3, r"no answer within 0\.3 s, after 1 try"),
        ([404], 4, PATIENCE, r"HTTP status 404: out of order, after 1 try"),
    ],
)
def test_a_node_that_does_not_answer(node, tmp_path, faults, tries, timeout, message):
    node.faults = faults
    with pytest.raises(NodeUnreachable, match=message) as caught:
        _fetched(node, tmp_path / "block", tries=tries, timeout=timeout)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def _set(*path: Any, to: Any) -> Callable[[Any], Any]:
    def alter(result: Any) -> Any:
        place = result
        for key in path[:-1]:
            place = place[key]
        if to is None:
            del place[path[-1]]
        else:
            place[path[-1]] = to
        return result

    return alter


@pytest.mark.parametrize(
    ("method", "alter", "field"),
    [
        ("eth_chainId", lambda result: 7, ""),
        ("eth_chainId", lambda result: "31337", "result"),
        ("eth_getBlockByNumber", lambda result: None, "result"),
        ("eth_getBlockByNumber", _set("transactions", 3, "nonce", to=7), "transactions[3].nonce"),
        ("eth_getBlockByNumber", _set("transactions", 3, "nonce", to="0xzz"), "transactions[3].nonce"),
        ("eth_getBlockByNumber", _set("miner", to="0x12"), "miner"),
        ("eth_getBlockByNumber", _set("receiptsRoot", to=None), "receiptsRoot"),
        ("eth_getBlockByNumber", _set("gasUsed", to="0x7"), "hash"),
        (TRACE, lambda result: result[1:], ""),
        (TRACE, _set(0, "result", to=None), "[0].result"),
        (TRACE, lambda result: [{"error": "out of memory"}] * len(result), "[0].result"),
        (TRACE, _set(2, "result", to={"0x12": {}}), "[2].result"),
        (
            TRACE,
            _set(2, "result", to={"0x" + "ab" * 20: {"balance": "5"}}),
            f"[2].result.0x{'ab' * 20}.balance",
        ),
        ("eth_getProof", _set("balance", to=""), "balance"),
        ("eth_getProof", _set("codeHash", to="0x12"), "codeHash"),
        ("eth_getProof", _set("address", to="0x" + "00" * 19 + "77"), "address"),
        ("eth_getProof", _set("nonce", to="0x" + "1" * 17), "nonce"),
        (
            "eth_getProof",
            _set("storageProof", to=[{"key": "0x9999", "value": "0x1", "proof": []}]),
            "storageProof",
        ),
        ("eth_getProof", _set("accountProof", to=["0x1"]), "accountProof"),
        ("eth_getProof", _set("accountProof", to=None), "accountProof"),
        ("eth_getCode", lambda result: "0x60", None),
    ],
)
def test_malformed_answers_name_the_field(node, tmp_path, method, alter, field):
    def altered(result: Any) -> Any:
        return result if method == TRACE and "pre" in result[0]["result"] else alter(result)

    node.altered[method] = altered
    if method == "eth_getCode":  # the tracer's codes are not asked for again
        nothing: dict[str, Any] = {"pre": {}, "post": {}}
        node.altered[TRACE] = lambda result: [
            {"result": nothing if "pre" in result[0]["result"] else {}} for _ in result
        ]
    with pytest.raises(NodeAnswerMalformed) as caught:
        _fetched(node, tmp_path / "block")
    assert caught.value.method == method
    if field is not None:
        assert caught.value.field == field
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>", "JSON"),
        ("{}", "field 'result'"),
        ('{"id": 0, "error": {"code": "x", "message": ""}}', "field 'error.code'"),
        ('{"id": 0, "error": {"code": -32000, "message": "no"}}', r"the node refuses: no \(-32000\)"),
    ],
)
def test_envelopes(node, text, message):
    node.faults = [text]
    with pytest.raises((NodeAnswerMalformed, NodeRefused), match=message):
        chain_of(Node(node.url))
    node.faults = ["[]"]
    with pytest.raises(NodeAnswerMalformed, match="answer to call 0"):
        Node(node.url).ask_all([("eth_chainId", [])] * 2, str)


def test_ancestors(node):
    asked = Node(node.url)
    chain = chain_of(asked)
    whole = fetch_block(asked, node.number, chain).files["block_hashes.json"]
    assert whole == node.hashes
    for count in (0, 1, 2):
        some = fetch_block(asked, node.number, chain, ancestors=count).files["block_hashes.json"]
        assert some == {number: whole[number] for number in list(whole)[: max(1, count)]}
    other = "0x" + "77" * 32
    node.altered["eth_getBlockByNumber"] = lambda header: (
        header | {"hash": other} if header["number"] == "0x1" else header
    )
    with pytest.raises(NodeAnswerMalformed, match=r"'hash'.*parent of block 2"):
        fetch_block(asked, node.number, chain)


def test_proofs_of_another_state_are_left_out(node):
    asked = Node(node.url)
    node.nodes = ["0x80"]
    fetched = fetch_block(asked, node.number, chain_of(asked))
    assert "nodes.json" not in fetched.files
    assert any("state root" in note for note in fetched.notes)


def test_an_interrupted_write_leaves_nothing(node, tmp_path, monkeypatch):
    asked = Node(node.url)
    fetched = fetch_block(asked, node.number, chain_of(asked))
    written: list[Path] = []
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="space"):
        write_block(tmp_path / "block", fetched)
    assert len(written) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "file:///etc/passwd"},
        {"url": "127.0.0.1:8545"},
        {"tries": 0},
        {"timeout": 0.0},
        {"timeout": float("nan")},
        {"batch": 0},
    ],
)
def test_arguments(arguments):
    with pytest.raises(ArgumentError, match=next(iter(arguments))):
        Node(**{"url": "http://127.0.0.1:1", **arguments})
    with pytest.raises(ArgumentError, match="number"):
        fetch_block(Node("http://127.0.0.1:1"), 0, chain=None)  # type: ignore[arg-type]


def test_a_real_node_gives_what_is_bundled(tmp_path):
    try:
        program(ROOT / "build" / "anvil")
    except NoNode as error:
        pytest.skip(str(error))
    place = ROOT / "tests" / "generators" / "evm_blocks.py"
    spec = importlib.util.spec_from_file_location("evm_blocks", place)
    assert spec is not None
    assert spec.loader is not None
    recorder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recorder)
    numbers = recorder.record(tmp_path, ROOT / "build" / "anvil")
    assert sorted(numbers.values()) == [int(path.name) for path in RECORDED]
    for recorded in RECORDED:
        assert _files(tmp_path / recorded.name) == _files(recorded)
