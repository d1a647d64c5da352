# SPDX-License-Identifier: GPL-3.0-or-later
"""What one transaction sees of the state: its own writes over what its predecessors left, and which keys it touched."""

from __future__ import annotations

from judge.rules import ACCOUNT, CODE, MOST_STATE_KEYS


class View:
    """Writes are held back until `commit`; a value of None is a deletion.

    `reads` are the keys that were looked at, `touched` those and the keys that were written: they are limited, but for
    the key of the called code.
    """

    def __init__(self, state: dict[bytes, bytes]) -> None:
        self._state = state
        self.writes: dict[bytes, bytes | None] = {}
        self.reads: set[bytes] = set()
        self.touched: set[bytes] = set()

    def get(self, key: bytes) -> bytes | None:
        self.reads.add(key)
        if key[:1] != CODE:
            self.touched.add(key)
        return self.writes[key] if key in self.writes else self._state.get(key)

    def set(self, key: bytes, value: bytes | None) -> None:
        self.touched.add(key)
        self.writes[key] = value

    def has_room(self, key: bytes) -> bool:
        """Whether the transaction may touch this key too."""
        return key in self.touched or len(self.touched) < MOST_STATE_KEYS

    def account(self, address: bytes) -> tuple[int, int]:
        """(nonce, balance); zeros where there is none."""
        stored = self.get(ACCOUNT + address) or bytes(40)
        return int.from_bytes(stored[:8], "big"), int.from_bytes(stored[8:], "big")

    def set_account(self, address: bytes, nonce: int, balance: int) -> None:
        present = nonce or balance
        self.set(
            ACCOUNT + address, nonce.to_bytes(8, "big") + balance.to_bytes(32, "big") if present else None
        )

    def add(self, address: bytes, amount: int) -> None:
        """Change a balance; nothing is touched where the amount is zero."""
        if amount:
            nonce, balance = self.account(address)
            self.set_account(address, nonce, balance + amount)

    def undo(self) -> None:
        """Forget the writes; what was read stays read."""
        self.writes.clear()

    def commit(self) -> None:
        for key, value in self.writes.items():
            if value is None:
                self._state.pop(key, None)
            else:
                self._state[key] = value
