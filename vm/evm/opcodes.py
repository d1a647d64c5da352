# SPDX-License-Identifier: GPL-3.0-or-later
"""The opcodes, Frontier to Osaka: number, name, stack, static gas, since when. Yellow Paper, appendix H, and the EIPs named.

What an opcode costs besides, by its operands or by what is cold, stands where it is executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from supervm.vm.evm import forks

PUSH1, PUSH32 = 0x60, 0x7F
DUP1, SWAP1, LOG0 = 0x80, 0x90, 0xA0


@dataclass(frozen=True)
class Opcode:
    """An opcode.

    | field | meaning |
    |---|---|
    | `number` | its byte |
    | `name` | as EIP-3155 traces have it |
    | `pops`, `pushes` | values that it takes from the stack, and puts there |
    | `gas` | static gas, or minus one minus the number of the fork's rule that says it |
    | `since` | name of the fork that brought it |
    | `immediate` | bytes behind it that belong to it |
    """

    number: int
    name: str
    pops: int
    pushes: int
    gas: int
    since: str
    immediate: int = 0

    def static_gas(self, fork: forks.Fork) -> int:
        """Static gas under a fork."""
        return self.gas if self.gas >= 0 else fork[-1 - self.gas]


_FRONTIER = "Frontier"


def by_fork(rule: int) -> int:
    """The static gas that a rule of the fork says."""
    return -1 - rule


_ROWS: tuple[tuple[int, str, int, int, int, str], ...] = (
    (0x00, "STOP", 0, 0, 0, _FRONTIER),
    (0x01, "ADD", 2, 1, 3, _FRONTIER),
    (0x02, "MUL", 2, 1, 5, _FRONTIER),
    (0x03, "SUB", 2, 1, 3, _FRONTIER),
    (0x04, "DIV", 2, 1, 5, _FRONTIER),
    (0x05, "SDIV", 2, 1, 5, _FRONTIER),
    (0x06, "MOD", 2, 1, 5, _FRONTIER),
    (0x07, "SMOD", 2, 1, 5, _FRONTIER),
    (0x08, "ADDMOD", 3, 1, 8, _FRONTIER),
    (0x09, "MULMOD", 3, 1, 8, _FRONTIER),
    (0x0A, "EXP", 2, 1, 10, _FRONTIER),
    (0x0B, "SIGNEXTEND", 2, 1, 5, _FRONTIER),
    (0x10, "LT", 2, 1, 3, _FRONTIER),
    (0x11, "GT", 2, 1, 3, _FRONTIER),
    (0x12, "SLT", 2, 1, 3, _FRONTIER),
    (0x13, "SGT", 2, 1, 3, _FRONTIER),
    (0x14, "EQ", 2, 1, 3, _FRONTIER),
    (0x15, "ISZERO", 1, 1, 3, _FRONTIER),
    (0x16, "AND", 2, 1, 3, _FRONTIER),
    (0x17, "OR", 2, 1, 3, _FRONTIER),
    (0x18, "XOR", 2, 1, 3, _FRONTIER),
    (0x19, "NOT", 1, 1, 3, _FRONTIER),
    (0x1A, "BYTE", 2, 1, 3, _FRONTIER),
    (0x1B, "SHL", 2, 1, 3, "Constantinople"),  # EIP-145
    (0x1C, "SHR", 2, 1, 3, "Constantinople"),
    (0x1D, "SAR", 2, 1, 3, "Constantinople"),
    (0x1E, "CLZ", 1, 1, 5, "Osaka"),  # EIP-7939
    (0x20, "KECCAK256", 2, 1, 30, _FRONTIER),
    (0x30, "ADDRESS", 0, 1, 2, _FRONTIER),
    (0x31, "BALANCE", 1, 1, by_fork(forks.BALANCE_GAS), _FRONTIER),
    (0x32, "ORIGIN", 0, 1, 2, _FRONTIER),
    (0x33, "CALLER", 0, 1, 2, _FRONTIER),
    (0x34, "CALLVALUE", 0, 1, 2, _FRONTIER),
    (0x35, "CALLDATALOAD", 1, 1, 3, _FRONTIER),
    (0x36, "CALLDATASIZE", 0, 1, 2, _FRONTIER),
    (0x37, "CALLDATACOPY", 3, 0, 3, _FRONTIER),
    (0x38, "CODESIZE", 0, 1, 2, _FRONTIER),
    (0x39, "CODECOPY", 3, 0, 3, _FRONTIER),
    (0x3A, "GASPRICE", 0, 1, 2, _FRONTIER),
    (0x3B, "EXTCODESIZE", 1, 1, by_fork(forks.EXTCODE_GAS), _FRONTIER),
    (0x3C, "EXTCODECOPY", 4, 0, by_fork(forks.EXTCODE_GAS), _FRONTIER),
    (0x3D, "RETURNDATASIZE", 0, 1, 2, "Byzantium"),  # EIP-211
    (0x3E, "RETURNDATACOPY", 3, 0, 3, "Byzantium"),
    (0x3F, "EXTCODEHASH", 1, 1, by_fork(forks.EXTCODEHASH_GAS), "Constantinople"),  # EIP-1052
    (0x40, "BLOCKHASH", 1, 1, 20, _FRONTIER),
    (0x41, "COINBASE", 0, 1, 2, _FRONTIER),
    (0x42, "TIMESTAMP", 0, 1, 2, _FRONTIER),
    (0x43, "NUMBER", 0, 1, 2, _FRONTIER),
    (0x44, "PREVRANDAO", 0, 1, 2, _FRONTIER),  # DIFFICULTY before EIP-4399
    (0x45, "GASLIMIT", 0, 1, 2, _FRONTIER),
    (0x46, "CHAINID", 0, 1, 2, "Istanbul"),  # EIP-1344
    (0x47, "SELFBALANCE", 0, 1, 5, "Istanbul"),  # EIP-1884
    (0x48, "BASEFEE", 0, 1, 2, "London"),  # EIP-3198
    (0x49, "BLOBHASH", 1, 1, 3, "Cancun"),  # EIP-4844
    (0x4A, "BLOBBASEFEE", 0, 1, 2, "Cancun"),  # EIP-7516
    (0x50, "POP", 1, 0, 2, _FRONTIER),
    (0x51, "MLOAD", 1, 1, 3, _FRONTIER),
    (0x52, "MSTORE", 2, 0, 3, _FRONTIER),
    (0x53, "MSTORE8", 2, 0, 3, _FRONTIER),
    (0x54, "SLOAD", 1, 1, by_fork(forks.SLOAD_GAS), _FRONTIER),
    (0x55, "SSTORE", 2, 0, 0, _FRONTIER),
    (0x56, "JUMP", 1, 0, 8, _FRONTIER),
    (0x57, "JUMPI", 2, 0, 10, _FRONTIER),
    (0x58, "PC", 0, 1, 2, _FRONTIER),
    (0x59, "MSIZE", 0, 1, 2, _FRONTIER),
    (0x5A, "GAS", 0, 1, 2, _FRONTIER),
    (0x5B, "JUMPDEST", 0, 0, 1, _FRONTIER),
    (0x5C, "TLOAD", 1, 1, 100, "Cancun"),  # EIP-1153
    (0x5D, "TSTORE", 2, 0, 100, "Cancun"),
    (0x5E, "MCOPY", 3, 0, 3, "Cancun"),  # EIP-5656
    (0x5F, "PUSH0", 0, 1, 2, "Shanghai"),  # EIP-3855
    (0xF0, "CREATE", 3, 1, 32_000, _FRONTIER),
    (0xF1, "CALL", 7, 1, by_fork(forks.CALL_GAS), _FRONTIER),
    (0xF2, "CALLCODE", 7, 1, by_fork(forks.CALL_GAS), _FRONTIER),
    (0xF3, "RETURN", 2, 0, 0, _FRONTIER),
    (0xF4, "DELEGATECALL", 6, 1, by_fork(forks.CALL_GAS), "Homestead"),  # EIP-7
    (0xF5, "CREATE2", 4, 1, 32_000, "Constantinople"),  # EIP-1014
    (0xFA, "STATICCALL", 6, 1, by_fork(forks.CALL_GAS), "Byzantium"),  # EIP-214
    (0xFD, "REVERT", 2, 0, 0, "Byzantium"),  # EIP-140
    (0xFE, "INVALID", 0, 0, 0, _FRONTIER),  # EIP-141
    (0xFF, "SELFDESTRUCT", 1, 0, by_fork(forks.SELFDESTRUCT_GAS), _FRONTIER),
)

_LOG_GAS, _LOG_TOPIC_GAS = 375, 375
"""Of a log, and of each of its topics (Yellow Paper, appendix G)."""


def _series() -> Iterator[Opcode]:
    """The opcodes that come in numbers."""
    for size in range(1, 33):
        yield Opcode(PUSH1 + size - 1, f"PUSH{size}", 0, 1, 3, _FRONTIER, size)
    for depth in range(1, 17):
        yield Opcode(DUP1 + depth - 1, f"DUP{depth}", depth, depth + 1, 3, _FRONTIER)
        yield Opcode(SWAP1 + depth - 1, f"SWAP{depth}", depth + 1, depth + 1, 3, _FRONTIER)
    for topics in range(5):
        gas = _LOG_GAS + topics * _LOG_TOPIC_GAS
        yield Opcode(LOG0 + topics, f"LOG{topics}", 2 + topics, 0, gas, _FRONTIER)


OPCODES: dict[int, Opcode] = {
    row.number: row
    for row in sorted((*(Opcode(*row) for row in _ROWS), *_series()), key=lambda row: row.number)
}
"""Number → opcode, in order of their numbers."""

NUMBERS: dict[str, int] = {row.name: row.number for row in OPCODES.values()}
"""Name → number."""


def opcodes_of(fork: forks.Fork) -> dict[int, Opcode]:
    """The opcodes that a fork has."""
    return {
        number: row for number, row in OPCODES.items() if forks.fork_named(row.since).number <= fork.number
    }
