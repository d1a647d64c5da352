# SPDX-License-Identifier: GPL-3.0-or-later
"""Other EVMs, each in a process of its own: `python peer_process.py pyrevm|py-evm|eels`.

It imports nothing of this project, so that any Python runs it: what some peers pin does not go with what this project pins.
Lines of JSON come in, and one line goes out for each:

    {"version": true}                  →  {"version": …}, or {"missing": package, "why": …}
    {"run": program, "times": number}  →  {"answer": [success, gas used, output in hexadecimal], "seconds": [… each time]}

A program is what `programs.Program.to_json` writes: a call, which is a transaction of gas price 0 that is not signed, under
Cancun's rules. Each time it runs on the program's accounts as they are at first, and the seconds are those of the call
alone.
"""

from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

Answer = tuple[bool, int, str]
Once = Callable[[], tuple[float, Answer]]
"""Executes the call and undoes what it did: seconds, and the answer."""

INTRINSIC, ZERO_BYTE, OTHER_BYTE = 21_000, 4, 16
"""Gas of a transaction and of its input; the Yellow Paper, appendix G, and EIP-2028."""

MOST_REFUND = 5
"""A fifth of the gas that was used, at most; EIP-3529."""


def intrinsic(data: bytes) -> int:
    """Gas of a call before its code begins."""
    zeros = data.count(0)
    return INTRINSIC + ZERO_BYTE * zeros + OTHER_BYTE * (len(data) - zeros)


def raw(text: str) -> bytes:
    """Bytes from what JSON has."""
    return bytes.fromhex(text[2:])


def pyrevm(program: dict[str, Any]) -> Once:
    """The bindings of revm, its interpreter.

    What a program of Python puts into its state counts as written by the transaction at work. So it reads the state from a
    node, once, and keeps it: a process that answers like one.
    """
    import pyrevm as module

    block, call = program["environment"], program["call"]
    environment = module.Env(
        cfg=module.CfgEnv(chain_id=block["chain_id"]),
        block=module.BlockEnv(
            number=block["number"],
            coinbase=block["coinbase"],
            timestamp=block["timestamp"],
            prevrandao=raw(block["random"]),
            basefee=0,
            gas_limit=block["gas_limit"],
            excess_blob_gas=0,
        ),
    )
    server = HTTPServer(("127.0.0.1", 0), _state_handler(program))
    process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    limit = block["gas_limit"]
    evm = module.EVM(env=environment, fork_url=url, fork_block="latest", gas_limit=limit, spec_id="CANCUN")
    wanted = call["sender"], call["to"], raw(call["data"]), int(call["value"], 16), call["gas"]

    def once() -> tuple[float, Answer]:
        mark = evm.snapshot()
        begun = time.perf_counter()
        try:
            output = evm.message_call(*wanted)
        except RuntimeError:
            output = b""
        seconds = time.perf_counter() - begun
        result: Any = evm.result
        answer = result.is_success, result.gas_used, bytes(output).hex()
        evm.revert(mark)
        return seconds, answer

    once()  # which has read the state
    process.terminate()
    server.server_close()
    return once


def _state_handler(program: dict[str, Any]) -> type[BaseHTTPRequestHandler]:
    """A node's JSON-RPC for the accounts of a program."""
    block = {
        "number": "0x1",
        "timestamp": "0x1",
        "gasLimit": "0x1",
        "gasUsed": "0x0",
        "difficulty": "0x0",
        "extraData": "0x",
        "nonce": f"0x{bytes(8).hex()}",
        "miner": f"0x{bytes(20).hex()}",
        "logsBloom": f"0x{bytes(256).hex()}",
        "size": "0x1",
        "baseFeePerGas": "0x0",
        "uncles": [],
        "transactions": [],
    }
    digests = ("hash", "parentHash", "sha3Uncles", "stateRoot", "transactionsRoot", "receiptsRoot", "mixHash")
    block |= {name: f"0x{bytes(32).hex()}" for name in digests}
    nobody = {"balance": "0x0", "nonce": 0, "code": "0x", "storage": {}}

    def result(method: str, parameters: list[Any]) -> Any:
        if method == "eth_getBlockByNumber":
            return block
        if method in ("eth_chainId", "eth_blockNumber"):
            return "0x1"
        account = program["accounts"].get(parameters[0].lower(), nobody)
        if method == "eth_getStorageAt":
            slots = {int(slot, 16): int(value, 16) for slot, value in account["storage"].items()}
            return f"0x{slots.get(int(parameters[1], 16), 0):064x}"
        kinds = {
            "eth_getBalance": account["balance"],
            "eth_getTransactionCount": hex(account["nonce"]),
            "eth_getCode": account["code"],
        }
        return kinds[method]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"jsonrpc": "2.0", "id": asked["id"], "result": result(asked["method"], asked["params"])}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler


def py_evm(program: dict[str, Any]) -> Once:
    """py-evm's virtual machine of Cancun."""
    from eth.chains.base import MiningChain
    from eth.db.atomic import AtomicDB
    from eth.vm.chain_context import ChainContext
    from eth.vm.forks.cancun import CancunVM
    from eth.vm.spoof import SpoofTransaction

    block = program["environment"]
    parameters = {
        "coinbase": raw(block["coinbase"]),
        "gas_limit": block["gas_limit"],
        "mix_hash": raw(block["random"]),
        "timestamp": block["timestamp"],
    }
    genesis = {"difficulty": 0, "extra_data": b"", "nonce": bytes(8), **parameters}
    state = {
        raw(address): {
            "balance": int(account["balance"], 16),
            "nonce": account["nonce"],
            "code": raw(account["code"]),
            "storage": {int(slot, 16): int(value, 16) for slot, value in account["storage"].items()},
        }
        for address, account in program["accounts"].items()
    }
    kind: Any = MiningChain.configure("Peer", vm_configuration=((0, CancunVM),), chain_id=block["chain_id"])
    chain = kind.from_genesis(AtomicDB(), genesis, state)
    machine = chain.get_vm()
    header = machine.get_header().copy(base_fee_per_gas=0, block_number=block["number"], **parameters)
    context = ChainContext(block["chain_id"])
    call = program["call"]
    unsigned = machine.create_unsigned_transaction(
        nonce=program["accounts"][call["sender"]]["nonce"],
        gas_price=0,
        gas=call["gas"],
        to=raw(call["to"]),
        value=int(call["value"], 16),
        data=raw(call["data"]),
    )
    transaction = SpoofTransaction(unsigned, from_=raw(call["sender"]))

    def once() -> tuple[float, Answer]:
        world = CancunVM.build_state(chain.chaindb.db, header, context, previous_hashes=())
        begun = time.perf_counter()
        computation = world.apply_transaction(transaction)
        seconds = time.perf_counter() - begun
        used = transaction.gas - computation.get_gas_remaining()
        used -= min(computation.get_gas_refund(), used // MOST_REFUND)
        return seconds, (computation.is_success, used, computation.output.hex())

    return once


def eels(program: dict[str, Any]) -> Once:
    """The Ethereum Foundation's execution specification, as it stands."""
    from ethereum.forks.cancun import state as states
    from ethereum.forks.cancun import vm
    from ethereum.forks.cancun.fork_types import Account, Address
    from ethereum.forks.cancun.transactions import LegacyTransaction
    from ethereum.forks.cancun.utils.message import prepare_message
    from ethereum.forks.cancun.vm.interpreter import process_message
    from ethereum_types.bytes import Bytes, Bytes32
    from ethereum_types.numeric import U64, U256, Uint

    block = program["environment"]
    state = states.State()
    for name, account in program["accounts"].items():
        address = Address(raw(name))
        funds = U256(int(account["balance"], 16))
        states.set_account(
            state, address, Account(Uint(account["nonce"]), funds, Bytes(raw(account["code"])))
        )
        for slot, value in account["storage"].items():
            key = Bytes32(int(slot, 16).to_bytes(32, "big"))
            states.set_storage(state, address, key, U256(int(value, 16)))
    environment = vm.BlockEnvironment(
        chain_id=U64(block["chain_id"]),
        state=state,
        block_gas_limit=Uint(block["gas_limit"]),
        block_hashes=[],
        coinbase=Address(raw(block["coinbase"])),
        number=Uint(block["number"]),
        base_fee_per_gas=Uint(0),
        time=U256(block["timestamp"]),
        prev_randao=Bytes32(raw(block["random"])),
        excess_blob_gas=U64(0),
        parent_beacon_block_root=Bytes32(bytes(32)),
    )
    call = program["call"]
    sender, data, gas = Address(raw(call["sender"])), raw(call["data"]), call["gas"]
    price = Uint(0)
    transaction = LegacyTransaction(
        states.get_account(state, sender).nonce,
        price,
        Uint(gas),
        Address(raw(call["to"])),
        U256(int(call["value"], 16)),
        Bytes(data),
        U256(0),
        U256(0),
        U256(0),
    )

    def once() -> tuple[float, Answer]:
        context = vm.TransactionEnvironment(
            origin=sender,
            gas_price=price,
            gas=Uint(gas - intrinsic(data)),
            access_list_addresses={environment.coinbase},
            access_list_storage_keys=set(),
            transient_storage=states.TransientStorage(),
            blob_versioned_hashes=(),
            index_in_block=Uint(0),
            tx_hash=None,
        )
        mark = states.TransientStorage()
        states.begin_transaction(state, mark)
        begun = time.perf_counter()
        states.increment_nonce(state, sender)
        evm = process_message(prepare_message(environment, context, transaction))
        seconds = time.perf_counter() - begun
        states.rollback_transaction(state, mark)
        state.created_accounts.clear()
        used = gas - int(evm.gas_left)
        if not evm.error:
            used -= min(int(evm.refund_counter), used // MOST_REFUND)
        return seconds, (not evm.error, used, bytes(evm.output).hex())

    return once


PEERS: dict[str, tuple[str, Callable[[dict[str, Any]], Once]]] = {
    "pyrevm": ("pyrevm", pyrevm),
    "py-evm": ("py-evm", py_evm),
    "eels": ("ethereum-execution", eels),
}
"""Each with its package on PyPI."""


def main() -> None:
    """Answer lines until there are none."""
    package, load = PEERS[sys.argv[1]]
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "run" in asked:
                once = load(asked["run"])
                timed = [once() for _ in range(asked["times"])]
                answer: dict[str, Any] = {"answer": timed[0][1], "seconds": [seconds for seconds, _ in timed]}
            else:
                answer = {"version": importlib.metadata.version(package)}
        except ImportError as error:  # the package, or one that it needs
            answer = {"missing": package, "why": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.setrecursionlimit(20_000)
    main()
