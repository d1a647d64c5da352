# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes `tests/vectors/evm_programs.json.xz`: random programs and what the Ethereum execution specifications make of them.

Run it with a Python that has `ethereum-execution` (EELS). Each row: code called, code of another account, input, value,
gas; then status, gas used, refund counter, logs.
"""

from __future__ import annotations

import importlib
import inspect
import json
import lzma
import random
from pathlib import Path
from typing import Any

from ethereum_types.bytes import Bytes, Bytes20, Bytes32
from ethereum_types.numeric import U64, U256, Uint

TARGET = Path(__file__).resolve().parents[1] / "vectors" / "evm_programs.json.xz"
CALLER, CONTRACT, OTHER = 0xCA11, 0xC0DE, 0x0711
FORKS = ("Cancun", "Osaka")
PROGRAMS = 200

PURE = (*range(0x01, 0x0C), *range(0x10, 0x1F))
READS = (
    0x30,
    0x31,
    *range(0x32, 0x37),
    0x38,
    0x3A,
    0x3B,
    0x3D,
    0x3F,
    *range(0x41, 0x4B),
    0x50,
    0x58,
    0x59,
    0x5A,
)
VALUES = (0, 1, 2, 31, 32, 33, 64, 96, 255, 256, CALLER, CONTRACT, OTHER, 0xDEAD, 1 << 255, (1 << 256) - 1)
INITCODES = ("60015f5500", "60055ff300", "5f5ffd0000", "fe00000000", "33ff000000")


def push(number: int, size: int = 0) -> bytes:
    size = size or max((number.bit_length() + 7) // 8, 1)
    return bytes([0x5F + size]) + number.to_bytes(size)


class Writer:
    """Writes one random program."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.code = chance, b""

    def value(self) -> bytes:
        bits = self.chance.choice((6, 10, 10, 64, 256))
        return push(self.chance.choice((*VALUES, self.chance.getrandbits(bits))))

    def some(self, *numbers: int) -> bytes:
        return push(self.chance.choice(numbers))

    def on_memory(self) -> bytes:
        at, size = self.some(0, 1, 32, 64, 100, 500), self.some(0, 1, 32, 64, 100)
        topics = self.chance.randrange(5)
        return self.chance.choice(
            (
                at + b"\x51",
                self.value() + at + b"\x52",
                self.value() + at + b"\x53",
                size + at + b"\x20",
                size + self.some(0, 5, 40) + at + self.chance.choice((b"\x37", b"\x39", b"\x5e")),
                self.some(0, 0, 32) + push(0) + at + b"\x3e",
                size + push(0) + at + self.value() + b"\x3c",
                b"".join(self.value() for _ in range(topics)) + size + at + bytes([0xA0 + topics]),
            )
        )

    def on_storage(self) -> bytes:
        slot = self.some(0, 1, 2)
        written = self.some(0, 0, 1, 2, 77) + slot
        return self.chance.choice((slot + b"\x54", written + b"\x55", slot + b"\x5c", written + b"\x5d"))

    def call(self) -> bytes:
        kind = self.chance.choice((0xF1, 0xF2, 0xF4, 0xFA))
        value = self.some(0, 0, 1, 50) if kind in (0xF1, 0xF2) else b""
        gas = self.chance.choice((b"\x5a", self.some(0, 100, 2300, 5000, 30000)))
        target = self.some(CALLER, CONTRACT, OTHER, OTHER, OTHER, 0xDEAD)
        areas = self.some(0, 32, 64) + push(0) + self.some(0, 4, 32) + push(0)
        return areas + value + target + gas + bytes([kind])

    def create(self) -> bytes:
        stored = push(int.from_bytes(bytes.fromhex(self.chance.choice(INITCODES)).ljust(32, b"\0")), 32)
        stored += push(0) + b"\x52"
        if self.chance.random() < 0.5:
            return stored + push(5) + push(0) + self.some(0, 0, 1) + b"\xf0"
        return stored + self.some(0, 7) + push(5) + push(0) + push(0) + b"\xf5"

    def jump(self) -> bytes:
        if self.chance.random() < 0.7:
            target = len(self.code) + 2 + 3 + 1 + 1
            return (
                self.some(0, 1, 1)
                + push(target, 2)
                + b"\x57"
                + self.chance.choice((b"\x5b", b"\x30"))
                + b"\x5b"
            )
        return push(len(self.code) + 5, 2) + b"\x56\xfe\x5b"

    def program(self) -> bytes:
        if self.chance.random() < 0.9:
            self.code = b"".join(self.value() for _ in range(24))
        kinds: dict[Any, int] = {
            self.value: 30,
            lambda: self.value() + self.value() + bytes([self.chance.choice(PURE)]): 15,
            lambda: bytes([self.chance.choice(READS)]): 12,
            lambda: bytes([self.chance.randrange(0x80, 0xA0)]): 12,
            self.on_memory: 10,
            self.on_storage: 7,
            self.call: 6,
            self.create: 2,
            self.jump: 4,
            lambda: bytes(
                [self.chance.choice((0x00, 0xF3, 0xFD, 0xFE, 0xFF, 0x0C, self.chance.randrange(256)))]
            ): 1,
        }
        for kind in self.chance.choices(list(kinds), list(kinds.values()), k=self.chance.randint(3, 50)):
            self.code += kind()
        return self.code


def fitting(kind: Any, **values: Any) -> Any:
    """A record of a fork from those values that it knows."""
    known = inspect.signature(kind.__init__).parameters
    return kind(**{name: value for name, value in values.items() if name in known})


def outcome(
    fork: str, code: bytes, other: bytes, data: bytes, value: int, gas: int
) -> tuple[int, int, int, int]:
    """Status, gas used, refund counter and logs, as EELS says."""
    base = f"ethereum.forks.{fork.lower()}"
    names = ("state", "vm", "vm.interpreter", "fork_types")
    state, vm, interpreter, types = (importlib.import_module(f"{base}.{name}") for name in names)

    def address(number: int) -> Bytes20:
        return Bytes20(number.to_bytes(20))

    world = state.State()
    for number, nonce, balance, text in (
        (CALLER, 0, 10**18, b""),
        (CONTRACT, 1, 100, code),
        (OTHER, 1, 0, other),
    ):
        account = types.Account(nonce=Uint(nonce), balance=U256(balance), code=Bytes(text))
        state.set_account(world, address(number), account)
    block = fitting(
        vm.BlockEnvironment, chain_id=U64(1), state=world, block_gas_limit=Uint(10**9), block_hashes=[],
        coinbase=address(0), number=Uint(1), base_fee_per_gas=Uint(0), time=U256(1), prev_randao=Bytes32(bytes(32)),
        excess_blob_gas=U64(0), parent_beacon_block_root=Bytes32(bytes(32)),
    )  # fmt: skip
    transaction = fitting(
        vm.TransactionEnvironment, origin=address(0), gas_price=Uint(0), gas=Uint(gas), access_list_addresses=set(),
        access_list_storage_keys=set(), transient_storage=state.TransientStorage(), blob_versioned_hashes=(),
        authorizations=(), index_in_block=Uint(0), tx_hash=None,
    )  # fmt: skip
    precompiled = (*range(11), *((*range(11, 18), 0x100) if fork == "Osaka" else ()))
    message = fitting(
        vm.Message, block_env=block, tx_env=transaction, caller=address(CALLER), target=address(CONTRACT),
        current_target=address(CONTRACT), gas=Uint(gas), value=U256(value), data=data,
        code_address=address(CONTRACT), code=Bytes(code), depth=Uint(0), should_transfer_value=True, is_static=False,
        accessed_addresses={address(number) for number in precompiled}, accessed_storage_keys=set(),
        disable_precompiles=False, parent_evm=None,
    )  # fmt: skip
    left = interpreter.process_message_call(message)
    error = type(left.error).__name__
    status = 0 if left.error is None else 1 if error == "Revert" else 2
    return status, gas - int(left.gas_left), int(left.refund_counter), len(left.logs)


def main() -> None:
    rows: dict[str, list[Any]] = {}
    for fork in FORKS:
        chance = random.Random(fork)
        rows[fork] = []
        for _ in range(PROGRAMS):
            code, other = Writer(chance).program(), Writer(chance).program()
            data, value = chance.randbytes(chance.choice((0, 4, 36))), chance.choice((0, 0, 5))
            gas = chance.choice((10**6, 10**6, 10**5, 30_000, chance.randrange(200, 60_000)))
            found = outcome(fork, code, other, data, value, gas)
            rows[fork].append([code.hex(), other.hex(), data.hex(), value, gas, *found])
    lines = ",\n".join(
        f"{json.dumps(fork)}: [\n" + ",\n".join(map(json.dumps, rows[fork])) + "\n]" for fork in rows
    )
    TARGET.write_bytes(lzma.compress(("{\n" + lines + "\n}\n").encode()))


if __name__ == "__main__":
    main()
