# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes `tests/vectors/evm_traces.json.xz`: what the Ethereum execution specifications trace, opcode by opcode.

Run it with a Python that has `ethereum-execution` (EELS), and with blocks of mainnet as files with all parts:

    eels/bin/python tests/generators/evm_traces.py witness_give/2675000.json witness_give/19426587.json

A row for each opcode: place, opcode, gas, cost (null where the frame halts), depth, refund counter, stack, memory, return
data (null before Byzantium). `programs`: of every fourth program of `evm_programs.json.xz` opcode, gas and cost of each row,
and the digest of all rows; null where there are too many. `blocks`: by number, the digest of each transaction's. A digest is
the number of rows, and the SHA-256 of their JSON.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import lzma
import sys
from pathlib import Path
from typing import Any

from ethereum import trace as events
from ethereum_types.bytes import Bytes, Bytes20, Bytes32
from ethereum_types.numeric import U64, U256, Uint
from evm_programs import TARGET as PROGRAMS
from evm_programs import fitting, outcome

TARGET = PROGRAMS.with_name("evm_traces.json.xz")
EVERY = 4
MOST_ROWS = 3_000
"""Of a program; one that loops for longer says little more."""
STOP = 0
FORKS = {2675000: "spurious_dragon", 19426587: "cancun"}
"""Of the blocks."""

COST = 3
"""Place of the cost in a row."""


class Recorder:
    """Takes the events of one execution.

    Attributes:
        rows: place, opcode, gas, cost, depth, refund counter, stack, memory, return data; before each opcode, cost apart.
    """

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self._open = False

    def __call__(self, evm: Any, event: Any) -> None:
        if isinstance(event, events.OpStart):
            self._begin(evm, event.op.value)
        elif isinstance(event, events.EvmStop):
            if evm.running and len(evm.code):
                self._begin(evm, STOP)
                self._open = False
        elif isinstance(event, events.GasAndRefund):
            if self._open:
                self.rows[-1][COST], self._open = event.gas_cost, False
        elif isinstance(event, events.OpException):
            self._fail(evm, event.error)
        elif isinstance(event, events.OpEnd):
            self._open = False

    def _begin(self, evm: Any, opcode: int) -> None:
        refund, outer = int(evm.refund_counter), evm.message.parent_evm
        while outer is not None:
            refund, outer = refund + int(outer.refund_counter), outer.message.parent_evm
        self.rows.append(
            [
                int(evm.pc),
                opcode,
                int(evm.gas_left),
                0,
                int(evm.message.depth) + 1,
                refund,
                [hex(int(value)) for value in evm.stack],
                bytes(evm.memory).hex(),
                bytes(evm.return_data).hex() if hasattr(evm, "return_data") else None,
            ]
        )
        self._open = True

    def _fail(self, evm: Any, error: Any) -> None:
        if type(error).__name__ == "Revert":
            return
        if type(error).__name__ == "InvalidOpcode" and hasattr(error, "code"):
            self._begin(evm, int.from_bytes(error.code) if isinstance(error.code, bytes) else int(error.code))
        # A precompiled contract that fails is nobody's opcode.
        if self.rows and self.rows[-1][4] == int(evm.message.depth) + 1 and len(evm.code):
            self.rows[-1][COST] = None
        self._open = False


def digest(rows: list[list[Any]]) -> list[Any]:
    """Number of rows, and their SHA-256."""
    text = "\n".join(json.dumps(row) for row in rows)
    return [len(rows), hashlib.sha256(text.encode()).hexdigest()]


def programs() -> dict[str, Any]:
    """Rows of programs, by fork."""
    given = json.loads(lzma.decompress(PROGRAMS.read_bytes()))
    found: dict[str, Any] = {}
    for fork, cases in given.items():
        found[fork] = []
        for code, other, data, value, gas, *_ in cases[::EVERY]:
            recorder = Recorder()
            events.set_evm_trace(recorder)
            outcome(fork, *(bytes.fromhex(text) for text in (code, other, data)), value, gas)
            rows = recorder.rows
            few = len(rows) <= MOST_ROWS
            found[fork].append([[row[1 : COST + 1] for row in rows], *digest(rows)] if few else None)
    return found


def number(text: str) -> int:
    return int(text, 16)


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


class Block:
    """A block of mainnet, and the state before it, as EELS has them."""

    def __init__(self, path: Path) -> None:
        given = json.loads(path.read_text())
        self.block, self.given = given["block"], given
        self.number = number(self.block["number"])
        base = f"ethereum.forks.{FORKS[self.number]}"
        names = ("fork", "state", "vm", "fork_types", "transactions")
        self.fork, self.states, self.vm, self.types, self.kinds = (
            importlib.import_module(f"{base}.{name}") for name in names
        )

    def state(self) -> Any:
        """The accounts that are given."""
        world = self.states.State()
        for name, account in self.given["pre_state"].items():
            address = Bytes20(raw(name))
            made = self.types.Account(
                nonce=Uint(_any(account.get("nonce", 0))),
                balance=U256(_any(account.get("balance", 0))),
                code=Bytes(raw(account.get("code") or "0x")),
            )
            self.states.set_account(world, address, made)
            for slot, value in (account.get("storage") or {}).items():
                if _any(value):
                    key = Bytes32(_any(slot).to_bytes(32))
                    self.states.set_storage(world, address, key, U256(_any(value)))
        return world

    def environment(self) -> Any:
        """In which the transactions are executed."""
        block = self.block
        known = {int(key): Bytes32(raw(value)) for key, value in self.given.get("block_hashes", {}).items()}
        first = max(self.number - 256, 0)
        return fitting(
            self.vm.BlockEnvironment,
            chain_id=U64(1),
            state=self.state(),
            block_gas_limit=Uint(number(block["gasLimit"])),
            block_hashes=[known.get(at, Bytes32(bytes(32))) for at in range(first, self.number)],
            coinbase=Bytes20(raw(block["miner"])),
            number=Uint(self.number),
            base_fee_per_gas=Uint(number(block.get("baseFeePerGas", "0x0"))),
            time=U256(number(block["timestamp"])),
            difficulty=Uint(number(block["difficulty"])),
            prev_randao=Bytes32(raw(block["mixHash"])),
            excess_blob_gas=U64(number(block.get("excessBlobGas", "0x0"))),
            parent_beacon_block_root=Bytes32(raw(block.get("parentBeaconBlockRoot", "0x" + "00" * 32))),
        )

    def transaction(self, given: dict[str, Any]) -> Any:
        """A transaction as the node gave it."""
        from ethereum_spec_tools.evm_tools.loaders.fork_loader import ForkLoad
        from ethereum_spec_tools.evm_tools.loaders.transaction_loader import TransactionLoad
        from ethereum_spec_tools.forks import Hardfork

        (fork,) = [one for one in Hardfork.discover() if one.short_name == FORKS[self.number]]
        named = {"data": given["input"], "gasLimit": given["gas"], "to": given["to"] or ""}
        return TransactionLoad({**given, **named}, ForkLoad(fork)).read()

    def run(self) -> list[Any]:
        """The digest of each transaction's trace."""
        environment, output = self.environment(), self.vm.BlockOutput()
        if "parentBeaconBlockRoot" in self.block:
            self.fork.process_unchecked_system_transaction(
                block_env=environment,
                target_address=self.fork.BEACON_ROOTS_ADDRESS,
                data=environment.parent_beacon_block_root,
            )
        found = []
        for place, given in enumerate(self.block["transactions"]):
            recorder = Recorder()
            events.set_evm_trace(recorder)
            self.fork.process_transaction(environment, output, self.transaction(given), Uint(place))
            found.append(digest(recorder.rows))
        assert int(output.block_gas_used) == number(self.block["gasUsed"])
        return found


def _any(value: int | str) -> int:
    return value if isinstance(value, int) else int(value, 0)


def main() -> None:
    blocks = [Block(Path(argument)) for argument in sys.argv[1:]]
    found = {"programs": programs(), "blocks": {str(block.number): block.run() for block in blocks}}
    TARGET.write_bytes(lzma.compress(json.dumps(found, separators=(",", ":")).encode()))


if __name__ == "__main__":
    sys.setrecursionlimit(20_000)
    main()
