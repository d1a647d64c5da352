# SPDX-License-Identifier: GPL-3.0-or-later
"""A JSON-RPC server that knows one block, from a folder that `supervm fetch` wrote; and what nodes do wrong, on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from patience import PATIENCE

Alter = Callable[[Any], Any]


class Refused(Exception):
    """A method's error: code and message."""


class FakeNode:
    """What a node knows of one block.

    Args:
        folder: of the block.

    Attributes:
        lacking: methods that it does not have.
        altered: method → what is made of its results.
        faults: what happens to the next requests instead of an answer, one each: an HTTP status, `drop`, `slow` or a text.
        takes_batches: whether it answers lists of calls.
        asked: the methods of every call that came, in order.
    """

    def __init__(self, folder: Path) -> None:
        files = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
        self.block, self.state, self.parent = files["block"], files["pre_state"], files["parent"]
        self.hashes, self.nodes, self.chain = files["block_hashes"], files.get("nodes", []), files["chain"]
        self.number = int(self.block["number"], 16)
        self.lacking: set[str] = set()
        self.altered: dict[str, Alter] = {}
        self.faults: list[int | str] = []
        self.takes_batches = True
        self.asked: list[str] = []
        self.slow = threading.Event()
        self.url = ""

    def answer(self, request: Any) -> Any:
        """To what one HTTP request asks."""
        if isinstance(request, list):
            if not self.takes_batches:
                return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches"}}
            return [self._one(call) for call in reversed(request)]  # in any order, says the specification
        return self._one(request)

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        method = call["method"]
        self.asked.append(method)
        base = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            if method in self.lacking or not hasattr(self, method):
                raise Refused(-32601, f"the method {method} does not exist")
            result = json.loads(json.dumps(getattr(self, method)(*call["params"])))
        except Refused as error:
            return {**base, "error": {"code": error.args[0], "message": error.args[1]}}
        return {**base, "result": self.altered.get(method, lambda same: same)(result)}

    def eth_chainId(self) -> str:  # noqa: N802
        return hex(self.chain["chain_id"])

    def anvil_nodeInfo(self) -> Any:  # noqa: N802
        return {"hardFork": self.chain["fork"].title()}

    def eth_getBlockByNumber(self, tag: str, full: bool) -> Any:  # noqa: N802
        number = self.number if tag == "latest" else int(tag, 16)
        if number == self.number:
            return self.block
        if number == self.number - 1:
            return self.parent
        if str(number) not in self.hashes:
            return None
        return {
            "number": hex(number),
            "hash": self.hashes[str(number)],
            "parentHash": self.hashes.get(str(number - 1), "0x" + "00" * 32),
            "stateRoot": "0x" + "00" * 32,
        }

    def debug_traceBlockByNumber(self, tag: str, asked: dict[str, Any]) -> Any:  # noqa: N802
        """All of it in the first transaction's trace, but for what no transaction touches."""
        self._at(tag, self.number)
        count = len(self.block["transactions"])
        if asked["tracerConfig"].get("diffMode"):
            return [{"result": {"pre": {}, "post": {}}}] * count
        keys = ("balance", "nonce", "code", "storage")
        first = {
            address: {key: account[key] for key in keys if key in account}
            for address, account in self.state.items()
        }
        return [{"txHash": "0x", "result": first}] + [{"result": {}}] * (count - 1)

    def eth_createAccessList(self, call: dict[str, Any], tag: str) -> Any:  # noqa: N802
        self._at(tag, self.number - 1)
        listed = [
            {"address": address, "storageKeys": [f"0x{int(slot, 16):064x}" for slot in account["storage"]]}
            for address, account in self.state.items()
        ]
        return {"accessList": listed, "gasUsed": "0x5208"}

    def eth_getProof(self, address: str, slots: list[str], tag: str) -> Any:  # noqa: N802
        account = self._account(address, tag)
        storage = account.get("storage", {})
        return {
            "address": address,
            "balance": account.get("balance", "0x0"),
            "nonce": hex(account.get("nonce", 0)),
            "codeHash": account.get("code_hash", "0x" + "00" * 32),
            "storageHash": "0x" + "00" * 32,
            "accountProof": self.nodes,
            "storageProof": [
                {"key": slot, "value": storage.get(hex(int(slot, 16)), "0x0"), "proof": []} for slot in slots
            ],
        }

    def eth_getBalance(self, address: str, tag: str) -> Any:  # noqa: N802
        return self._account(address, tag).get("balance", "0x0")

    def eth_getTransactionCount(self, address: str, tag: str) -> Any:  # noqa: N802
        return hex(self._account(address, tag).get("nonce", 0))

    def eth_getCode(self, address: str, tag: str) -> Any:  # noqa: N802
        return self._account(address, tag).get("code", "0x")

    def eth_getStorageAt(self, address: str, slot: str, tag: str) -> Any:  # noqa: N802
        storage = self._account(address, tag).get("storage", {})
        return f"0x{int(storage.get(hex(int(slot, 16)), '0x0'), 16):064x}"

    def _account(self, address: str, tag: str) -> dict[str, Any]:
        self._at(tag, self.number - 1)
        found: dict[str, Any] = self.state.get(address, {})
        return found

    def _at(self, tag: str, number: int) -> None:
        if int(tag, 16) != number:
            raise Refused(-32000, f"no state of {tag}")


@contextmanager
def serving(node: FakeNode) -> Iterator[FakeNode]:
    """Answer at `node.url` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fault = node.faults.pop(0) if node.faults else None
            if fault == "drop":
                self.connection.close()
            elif fault == "slow":
                node.slow.wait(PATIENCE)
            elif isinstance(fault, int):
                self._send(fault, b"out of order")
            else:
                self._send(200, json.dumps(node.answer(asked)).encode() if fault is None else fault.encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, address: Any) -> None:
            pass  # whoever asked has gone

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    node.url = f"http://127.0.0.1:{server.server_address[1]}/secret-of-the-account"
    try:
        yield node
    finally:
        node.slow.set()
        server.shutdown()
        server.server_close()
        thread.join()
