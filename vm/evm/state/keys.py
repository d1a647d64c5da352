# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of the EVM's state in the store, and what stands under them.

| key | value |
|---|---|
| `ACCOUNT` ‖ address | nonce (8) ‖ balance (32), as in `supervm.vm.accounts`; zeros where an account is there but empty |
| `CODE_HASH` ‖ address | Keccak-256 of the code (32); absent: no code |
| `INCARNATION` ‖ address | incarnation (4) ‖ 1 where storage holds something though nonce is 0 and there is no code |
| `STORAGE` ‖ address ‖ incarnation (4) ‖ slot (32) | the value (32); absent: 0 |
| `CODE` ‖ code hash (32) | the code |

Integers are big-endian. An account is there if it has a value under `ACCOUNT` or `CODE_HASH`. Another incarnation wipes
the whole storage: what stands under an older one means nothing. With 4 bytes of it a storage key has 57 bytes, and so
lies in its record (`key_table.INLINE`).
"""

from __future__ import annotations

from supervm.vm.accounts import ACCOUNT_BYTES

ACCOUNT, STORAGE, CODE, CODE_HASH, INCARNATION = 0x00, 0x04, 0x05, 0x06, 0x07
"""First bytes. The others are the engine's (`supervm.engine.state.keys`), which has accounts in common with the EVM."""

ADDRESS_BYTES, WORD_BYTES, INCARNATION_BYTES = 20, 32, 4

ADDRESS_KEY_BYTES = 1 + ADDRESS_BYTES
STORAGE_KEY_BYTES = ADDRESS_KEY_BYTES + INCARNATION_BYTES + WORD_BYTES
CODE_KEY_BYTES = 1 + WORD_BYTES

INCARNATION_VALUE_BYTES = INCARNATION_BYTES + 1


def storage_key(address: bytes, slot: int, incarnation: int = 0) -> bytes:
    """The key of a slot of an account's storage."""
    return bytes([STORAGE]) + address + incarnation.to_bytes(INCARNATION_BYTES) + slot.to_bytes(WORD_BYTES)


__all__ = [
    "ACCOUNT",
    "ACCOUNT_BYTES",
    "ADDRESS_BYTES",
    "ADDRESS_KEY_BYTES",
    "CODE",
    "CODE_HASH",
    "CODE_KEY_BYTES",
    "INCARNATION",
    "INCARNATION_BYTES",
    "INCARNATION_VALUE_BYTES",
    "STORAGE",
    "STORAGE_KEY_BYTES",
    "WORD_BYTES",
    "storage_key",
]
