# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Ethereum node for tests: npm's `@foundry-rs/anvil`, on a genesis of accounts whose keys are known.

Blocks are mined when the caller says so, so that many senders and types of transactions stand in one.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak, to_checksum_address
from patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tests" / "generators" / "anvil"
CHAIN_ID = 31_337
GENESIS_TIME = 1_760_000_000
FUNDS = 10**21

SYSTEM_CONTRACTS = PACKAGE / "system_contracts.json"
"""Those of EIP-7002 and EIP-7251, with the codes that these state: Prague's blocks need them. That of EIP-4788 is left out,
since anvil does not call it."""


class NoNode(Exception):
    """There is no node to be had here, and why."""


def program(folder: Path) -> Path:
    """The node's program, installed into a folder if it is not there.

    Raises:
        NoNode: without npm, network or a build for this machine.
    """
    found = sorted(folder.glob("node_modules/@foundry-rs/anvil-*/bin/anvil"))
    if found:
        return found[0]
    if not shutil.which("npm"):
        raise NoNode("npm, which installs anvil, is not there")
    folder.mkdir(parents=True, exist_ok=True)
    for path in PACKAGE.glob("package*.json"):
        shutil.copy(path, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = sorted(folder.glob("node_modules/@foundry-rs/anvil-*/bin/anvil"))
    if done.returncode or not found:
        raise NoNode(f"anvil cannot be installed: npm ends with {done.returncode}")
    return found[0]


def account(number: int) -> LocalAccount:
    """One of the genesis' accounts."""
    return Account.from_key(keccak(b"supervm anvil %d" % number))


@dataclass
class Anvil:
    """A running node, and the nonces of its senders.

    Args:
        url: of its JSON-RPC.
        chain_id: of its chain.
    """

    url: str
    chain_id: int = CHAIN_ID
    _nonces: dict[str, int] = field(default_factory=dict)

    def rpc(self, method: str, *parameters: Any) -> Any:
        """The result of a call; an error is an assertion's."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            found = json.load(answer)
        assert "error" not in found, (method, found["error"])
        return found["result"]

    def send(self, sender: int, to: str | None, data: bytes = b"", **fields: Any) -> str:
        """Sign a transaction and put it into the pool; a gas limit is far above what calls here take.

        Args:
            sender: number of an account.
            to: None to create a contract.
            data: input, or the code that creates.
            fields: others, such as `type`, `value`, `accessList`.

        Returns:
            Its hash.
        """
        key = account(sender)
        nonce = self._nonces.get(key.address, 0)
        fields = {"type": 2, "chainId": self.chain_id, "nonce": nonce, "gas": 3_000_000, "value": 0, **fields}
        blobs = fields.pop("blobs", None)
        if fields["type"] in (0, 1):
            fields.setdefault("gasPrice", 3 * 10**9)
            fields = {name: value for name, value in fields.items() if value or name != "type"}
        else:
            fields.setdefault("maxFeePerGas", 4 * 10**9)
            fields.setdefault("maxPriorityFeePerGas", 10**9)
        if to is not None:
            fields["to"] = to_checksum_address(to)
        signed = key.sign_transaction({**fields, "data": data}, blobs=blobs)
        sent = self.rpc("eth_sendRawTransaction", f"0x{bytes(signed.raw_transaction).hex()}")
        self._nonces[key.address] = nonce + 1
        return str(sent)

    def mine(self) -> int:
        """A block of what is in the pool, in the order in which it came; its number."""
        self.rpc("evm_mine")
        return int(self.rpc("eth_blockNumber"), 16)

    def receipt(self, transaction: str) -> dict[str, Any]:
        """Of a mined transaction."""
        found: dict[str, Any] = self.rpc("eth_getTransactionReceipt", transaction)
        return found


@contextmanager
def running(folder: Path, hardfork: str = "osaka", accounts: int = 40) -> Iterator[Anvil]:
    """A node, in a process of its own.

    Args:
        folder: where its packages are, or are put.
        hardfork: whose rules hold.
        accounts: of the genesis.

    Raises:
        NoNode: there is none.
    """
    binary = program(folder)
    genesis = folder / f"genesis-{hardfork}.json"
    genesis.write_text(json.dumps(_genesis(accounts)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [binary, "--port", port, "--hardfork", hardfork, "--init", genesis, "--no-mining", "--silent"]
    command += ["--order", "fifo", "--timestamp", GENESIS_TIME, "--accounts", 1]
    process = subprocess.Popen([str(part) for part in command])
    node = Anvil(f"http://127.0.0.1:{port}")
    try:
        _wait(process, port)
        # The clock says the same at every recording.
        node.rpc("anvil_setBlockTimestampInterval", 12)
        yield node
    finally:
        process.terminate()
        process.wait()


def _genesis(accounts: int) -> dict[str, Any]:
    alloc: dict[str, Any] = {account(number).address: {"balance": hex(FUNDS)} for number in range(accounts)}
    for address, code in json.loads(SYSTEM_CONTRACTS.read_text()).items():
        alloc[address] = {"balance": "0x0", "nonce": "0x1", "code": code}
    return {
        "config": {"chainId": CHAIN_ID},
        "nonce": "0x0",
        "timestamp": hex(GENESIS_TIME),
        "extraData": "0x",
        "gasLimit": hex(30_000_000),
        "difficulty": "0x0",
        "mixHash": f"0x{bytes(32).hex()}",
        "coinbase": f"0x{bytes(20).hex()}",
        "alloc": alloc,
    }


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Until it listens."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise NoNode(f"anvil does not start: {process.poll()}") from None
            time.sleep(0.05)
