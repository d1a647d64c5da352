# SPDX-License-Identifier: GPL-3.0-or-later
"""Forks of the Ethereum Virtual Machine: one row each, and in it every rule that depends on the fork.

A fork's row says what it changes; the rest is as in the row before. Compiled code gets the rules as an int64 array and
reads them by the numbers below; nothing compares forks by their order but the table of opcodes, which says since when
each one is there. Names and activations: ethereum/execution-specs, ethereum/tests and go-ethereum's `params/config.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.errors import ArgumentError

NO_LIMIT = (1 << 63) - 1
"""Value of a limit that there is not yet."""

(
    NUMBER,  # the fork's place in the table
    # Gas of instructions.
    SLOAD_GAS,  # SLOAD of a warm slot; of any slot before access lists
    BALANCE_GAS,  # BALANCE of a warm account; of any before access lists
    EXTCODE_GAS,  # EXTCODESIZE and EXTCODECOPY, likewise
    EXTCODEHASH_GAS,  # EXTCODEHASH, likewise
    CALL_GAS,  # CALL, CALLCODE, DELEGATECALL and STATICCALL, likewise
    COLD_ACCOUNT_GAS,  # the first access to an account, in all; 0 before access lists
    COLD_ACCOUNT_EXTRA,  # what of it comes on top of a warm access
    COLD_SLOT_GAS,  # the first access to a slot, in all; 0 before access lists
    COLD_SLOT_EXTRA,  # what of it comes on top of a warm access
    EXP_BYTE_GAS,  # each byte of an exponent
    SELFDESTRUCT_GAS,  # SELFDESTRUCT
    SELFDESTRUCT_NEW_ACCOUNT_GAS,  # SELFDESTRUCT in favour of an account that is not there
    SELFDESTRUCT_REFUND,  # refund of the first SELFDESTRUCT of a contract
    INITCODE_WORD_GAS,  # each word of initcode
    # Gas of SSTORE.
    NET_STORAGE_GAS,  # 1: by original and current value (EIP-1283, EIP-2200)
    SSTORE_STIPEND,  # SSTORE fails with as little gas (EIP-2200); 0: never
    SSTORE_NOOP_GAS,  # nothing changes, or a slot that the transaction had changed
    SSTORE_SET_GAS,  # zero becomes another value
    SSTORE_RESET_GAS,  # every other change
    SSTORE_CLEAR_REFUND,  # refund where a value becomes zero
    # Calls and creations.
    KEEPS_A_64TH,  # 1: a call gets all but one 64th of the gas (EIP-150)
    MAX_CODE_BYTES,  # of a contract's code
    MAX_INITCODE_BYTES,  # of initcode
    REFUSES_EF_CODE,  # 1: no new code begins with 0xEF (EIP-3541)
    DEPOSIT_OR_FAIL,  # 1: a creation that cannot pay for its code fails (EIP-2); 0: it leaves no code
    CONTRACT_NONCE,  # nonce of a new contract (EIP-161)
    CLEARS_EMPTY,  # 1: touched empty accounts are deleted, and only value makes accounts (EIP-161)
    DESTROYS_NEW_ONLY,  # 1: SELFDESTRUCT deletes only what was created in the transaction (EIP-6780)
    HAS_DELEGATION,  # 1: code of accounts may name another account's (EIP-7702)
    # Transactions.
    TRANSACTION_TYPES,  # bit mask of the types that are valid
    CREATION_GAS,  # intrinsic gas of a creation, on top (EIP-2)
    INPUT_NONZERO_GAS,  # each byte of input that is not zero
    FLOOR_TOKEN_GAS,  # least gas per token of input (EIP-7623); 0: no floor
    MAX_TRANSACTION_GAS,  # gas limit of a transaction (EIP-7825)
    REFUND_QUOTIENT,  # no more than gas used divided by it is refunded
    HAS_ACCESS_LISTS,  # 1: accounts and slots are cold or warm (EIP-2929)
    WARM_RECIPIENT,  # 1: the fee recipient is warm from the beginning (EIP-3651)
    HAS_BASE_FEE,  # 1: blocks have a base fee, which is burnt (EIP-1559)
    # Blobs.
    BLOB_TARGET,  # blobs per block that leave the price as it is
    BLOB_MAX,  # blobs per block
    BLOB_TRANSACTION_MAX,  # blobs per transaction (EIP-7594)
    BLOB_UPDATE_FRACTION,  # how fast the price follows
    BLOB_RESERVE_PRICE,  # 1: the price follows the base fee down (EIP-7918)
    # Precompiled contracts.
    PRECOMPILES,  # bit mask of their numbers: the address, and `P256_NUMBER` for 0x100
    MODEXP_RULE,  # price of modexp: 0 EIP-198, 1 EIP-2565, 2 EIP-7883
    MODEXP_MAX_BYTES,  # of each of its operands (EIP-7823)
    BN254_ADD_GAS,
    BN254_MUL_GAS,
    BN254_PAIRING_GAS,  # besides the pairs
    BN254_PAIR_GAS,  # each pair
    # Blocks.
    BLOCK_REWARD,  # wei; 0 with proof of stake
    HAS_STATUS,  # 1: receipts have a status, no state root (EIP-658)
    HAS_RANDAO,  # 1: opcode 0x44 is PREVRANDAO (EIP-4399), no ommers
    HAS_WITHDRAWALS,  # 1: EIP-4895
    HAS_BEACON_ROOT,  # 1: system call of EIP-4788
    HAS_BLOCK_HASHES,  # 1: system call of EIP-2935
    HAS_REQUESTS,  # 1: requests to the consensus layer (EIP-7685, 6110, 7002, 7251)
    MAX_BLOCK_BYTES,  # of a block's RLP (EIP-7934)
) = range(59)
"""Numbers of the rules. Gas in units, sizes in bytes, prices in wei."""

RULES = MAX_BLOCK_BYTES + 1

P256_NUMBER, P256_ADDRESS = 18, 0x100
"""Bit of the precompiled contract of EIP-7951 in `PRECOMPILES`, since its address has none, and that address."""


@dataclass(frozen=True, eq=False)
class Fork:
    """A fork.

    | field | meaning |
    |---|---|
    | `name` | as state tests spell it |
    | `number` | place in the table, from 0 |
    | `aliases` | other names |
    | `block`, `time` | where it begins on mainnet; both None where it never has |
    | `rules` | int64 (`RULES`,), by the numbers of this module |
    """

    name: str
    number: int
    aliases: tuple[str, ...]
    block: int | None
    time: int | None
    rules: NDArray[np.int64]

    def __getitem__(self, rule: int) -> int:
        """A rule by its number."""
        return int(self.rules[rule])

    def __repr__(self) -> str:
        return f"Fork({self.name})"


def _precompiles(first: int, last: int) -> int:
    """Bits of the numbers from `first` to `last`."""
    return (1 << (last + 1)) - (1 << first)


_WEI_PER_ETHER = 10**18

_FIRST: Mapping[int, int] = {
    SLOAD_GAS: 50,
    BALANCE_GAS: 20,
    EXTCODE_GAS: 20,
    EXTCODEHASH_GAS: 400,  # EIP-1052, at Constantinople
    CALL_GAS: 40,
    EXP_BYTE_GAS: 10,
    SELFDESTRUCT_REFUND: 24_000,
    SSTORE_NOOP_GAS: 5_000,
    SSTORE_SET_GAS: 20_000,
    SSTORE_RESET_GAS: 5_000,
    SSTORE_CLEAR_REFUND: 15_000,
    MAX_CODE_BYTES: NO_LIMIT,
    MAX_INITCODE_BYTES: NO_LIMIT,
    TRANSACTION_TYPES: 1 << 0,
    INPUT_NONZERO_GAS: 68,
    MAX_TRANSACTION_GAS: NO_LIMIT,
    REFUND_QUOTIENT: 2,
    PRECOMPILES: _precompiles(1, 4),
    MODEXP_MAX_BYTES: NO_LIMIT,
    BN254_ADD_GAS: 500,  # EIP-196 and EIP-197, at Byzantium
    BN254_MUL_GAS: 40_000,
    BN254_PAIRING_GAS: 100_000,
    BN254_PAIR_GAS: 80_000,
    BLOCK_REWARD: 5 * _WEI_PER_ETHER,
    MAX_BLOCK_BYTES: NO_LIMIT,
}
"""Rules of Frontier that are not 0 (Yellow Paper, appendix G)."""


def _blobs(target: int, most: int, fraction: int) -> dict[int, int]:
    return {BLOB_TARGET: target, BLOB_MAX: most, BLOB_UPDATE_FRACTION: fraction}


_ROWS: tuple[tuple[str, tuple[str, ...], int | None, int | None, Mapping[int, int]], ...] = (
    ("Frontier", (), 0, None, _FIRST),
    # EIP-606
    ("Homestead", (), 1_150_000, None, {CREATION_GAS: 32_000, DEPOSIT_OR_FAIL: 1}),
    # EIP-608
    (
        "EIP150",
        ("TangerineWhistle",),
        2_463_000,
        None,
        {
            SLOAD_GAS: 200,
            BALANCE_GAS: 400,
            EXTCODE_GAS: 700,
            CALL_GAS: 700,
            SELFDESTRUCT_GAS: 5_000,
            SELFDESTRUCT_NEW_ACCOUNT_GAS: 25_000,
            KEEPS_A_64TH: 1,
        },
    ),
    # EIP-607
    (
        "EIP158",
        ("SpuriousDragon", "EIP161"),
        2_675_000,
        None,
        {EXP_BYTE_GAS: 50, MAX_CODE_BYTES: 24_576, CONTRACT_NONCE: 1, CLEARS_EMPTY: 1},
    ),
    # EIP-609
    (
        "Byzantium",
        (),
        4_370_000,
        None,
        {PRECOMPILES: _precompiles(1, 8), BLOCK_REWARD: 3 * _WEI_PER_ETHER, HAS_STATUS: 1},
    ),
    # EIP-1013; on mainnet Petersburg took its place in the same block.
    (
        "Constantinople",
        (),
        7_280_000,
        None,
        {
            NET_STORAGE_GAS: 1,
            SSTORE_NOOP_GAS: 200,
            BLOCK_REWARD: 2 * _WEI_PER_ETHER,
        },
    ),
    # EIP-1716
    (
        "ConstantinopleFix",
        ("Petersburg", "St. Petersburg"),
        7_280_000,
        None,
        {NET_STORAGE_GAS: 0, SSTORE_NOOP_GAS: 5_000},
    ),
    # EIP-1679
    (
        "Istanbul",
        (),
        9_069_000,
        None,
        {
            SLOAD_GAS: 800,
            BALANCE_GAS: 700,
            EXTCODEHASH_GAS: 700,
            NET_STORAGE_GAS: 1,
            SSTORE_STIPEND: 2_300,
            SSTORE_NOOP_GAS: 800,
            INPUT_NONZERO_GAS: 16,
            PRECOMPILES: _precompiles(1, 9),
            BN254_ADD_GAS: 150,
            BN254_MUL_GAS: 6_000,
            BN254_PAIRING_GAS: 45_000,
            BN254_PAIR_GAS: 34_000,
        },
    ),
    # EIP-2387
    ("MuirGlacier", (), 9_200_000, None, {}),
    # EIP-2565, 2718, 2929, 2930
    (
        "Berlin",
        (),
        12_244_000,
        None,
        {
            SLOAD_GAS: 100,
            BALANCE_GAS: 100,
            EXTCODE_GAS: 100,
            EXTCODEHASH_GAS: 100,
            CALL_GAS: 100,
            COLD_ACCOUNT_GAS: 2_600,
            COLD_ACCOUNT_EXTRA: 2_500,
            COLD_SLOT_GAS: 2_100,
            COLD_SLOT_EXTRA: 2_000,
            SSTORE_NOOP_GAS: 100,
            SSTORE_RESET_GAS: 2_900,
            TRANSACTION_TYPES: 0b11,
            HAS_ACCESS_LISTS: 1,
            MODEXP_RULE: 1,
        },
    ),
    # EIP-1559, 3198, 3529, 3541, 3554
    (
        "London",
        (),
        12_965_000,
        None,
        {
            SELFDESTRUCT_REFUND: 0,
            SSTORE_CLEAR_REFUND: 4_800,
            REFUSES_EF_CODE: 1,
            TRANSACTION_TYPES: 0b111,
            REFUND_QUOTIENT: 5,
            HAS_BASE_FEE: 1,
        },
    ),
    # EIP-4345
    ("ArrowGlacier", (), 13_773_000, None, {}),
    # EIP-5133
    ("GrayGlacier", (), 15_050_000, None, {}),
    # EIP-3675, 4399
    ("Paris", ("Merge",), 15_537_394, None, {BLOCK_REWARD: 0, HAS_RANDAO: 1}),
    # EIP-3651, 3855, 3860, 4895
    (
        "Shanghai",
        (),
        None,
        1_681_338_455,
        {
            INITCODE_WORD_GAS: 2,
            MAX_INITCODE_BYTES: 2 * 24_576,
            WARM_RECIPIENT: 1,
            HAS_WITHDRAWALS: 1,
        },
    ),
    # EIP-7569
    (
        "Cancun",
        (),
        None,
        1_710_338_135,
        {
            DESTROYS_NEW_ONLY: 1,
            TRANSACTION_TYPES: 0b1111,
            PRECOMPILES: _precompiles(1, 10),
            BLOB_TRANSACTION_MAX: 6,
            HAS_BEACON_ROOT: 1,
            **_blobs(3, 6, 3_338_477),
        },
    ),
    # EIP-7600
    (
        "Prague",
        (),
        None,
        1_746_612_311,
        {
            HAS_DELEGATION: 1,
            TRANSACTION_TYPES: 0b1_1111,
            FLOOR_TOKEN_GAS: 10,
            PRECOMPILES: _precompiles(1, 17),
            BLOB_TRANSACTION_MAX: 9,
            HAS_BLOCK_HASHES: 1,
            HAS_REQUESTS: 1,
            **_blobs(6, 9, 5_007_716),
        },
    ),
    # EIP-7607
    (
        "Osaka",
        (),
        None,
        1_764_798_551,
        {
            MAX_TRANSACTION_GAS: 1 << 24,
            PRECOMPILES: _precompiles(1, 17) | 1 << P256_NUMBER,
            MODEXP_RULE: 2,
            MODEXP_MAX_BYTES: 1_024,
            BLOB_TRANSACTION_MAX: 6,
            BLOB_RESERVE_PRICE: 1,
            MAX_BLOCK_BYTES: (10 - 2) << 20,
        },
    ),
    # EIP-7892 and its blob schedules; the last two exist on test networks only.
    ("BPO1", (), None, 1_765_290_071, _blobs(10, 15, 8_346_193)),
    ("BPO2", (), None, 1_767_747_671, _blobs(14, 21, 11_684_671)),
    ("BPO3", (), None, None, _blobs(21, 32, 20_609_697)),
    ("BPO4", (), None, None, _blobs(14, 21, 13_739_630)),
)


def _forks() -> tuple[Fork, ...]:
    """Every row with the rules of the rows before it."""
    forks = []
    rules = np.zeros(RULES, np.int64)
    for number, (name, aliases, block, time, changes) in enumerate(_ROWS):
        rules = rules.copy()
        rules[NUMBER] = number
        for rule, value in changes.items():
            rules[rule] = value
        rules.flags.writeable = False
        forks.append(Fork(name, number, aliases, block, time, rules))
    return tuple(forks)


FORKS = _forks()
"""Every fork, oldest first."""


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


BY_NAME: Mapping[str, Fork] = MappingProxyType(
    {_plain(name): fork for fork in FORKS for name in (fork.name, *fork.aliases)}
)
"""Name in lower case, of letters and digits only → fork."""


def fork_named(name: str) -> Fork:
    """A fork by one of its names; case, spaces and underscores do not matter.

    Raises:
        ArgumentError: no fork has that name.
    """
    found = BY_NAME.get(_plain(name))
    if found is None:
        known = ", ".join(fork.name for fork in FORKS)
        raise ArgumentError("fork", repr(name), f"one of {known}")
    return found


def mainnet_fork(number: int, timestamp: int) -> Fork:
    """The fork of a block of mainnet.

    Args:
        number: the block's.
        timestamp: the block's, in seconds.
    """
    active = [
        fork
        for fork in FORKS
        if (fork.block is not None and fork.block <= number)
        or (fork.time is not None and fork.time <= timestamp)
    ]
    return active[-1]
