# SPDX-License-Identifier: GPL-3.0-or-later
"""The shielded key of a wallet: one seed, which spends, or one view key, which only looks."""

from __future__ import annotations

import secrets

from supervm.crypto.shielded_keys import SEED_BYTES, Address, Seed, ViewKey
from supervm.tiers.node.databases import Database
from supervm.tiers.node.errors import WalletError
from supervm.tiers.wallet.sealing import seal, unseal

_TABLE = """CREATE TABLE IF NOT EXISTS shielded_key (
    one INTEGER PRIMARY KEY CHECK (one = 1), seed BLOB, view_key BLOB NOT NULL, address TEXT NOT NULL)"""


class ShieldedKey:
    """The table of a wallet's database that holds its shielded key, behind the wallet's passphrase.

    Args:
        database: the wallet's.
        passphrase: the wallet's, '' for none.
    """

    def __init__(self, database: Database, passphrase: str) -> None:
        self._database, self._passphrase = database, passphrase
        database.execute(_TABLE)

    def create(self, seed: Seed | None = None) -> Address:
        """Keep a seed, a new one unless it is given; its address.

        Raises:
            WalletError: the wallet has a key already.
        """
        made = seed or Seed(secrets.token_bytes(SEED_BYTES))
        self._keep(seal(made.data, self._passphrase), made.view_key)
        return made.view_key.address

    def look_with(self, view_key: ViewKey) -> None:
        """Keep a view key: the wallet shows notes, and spends none.

        Raises:
            WalletError: the wallet has a key already.
        """
        self._keep(None, view_key)

    def address(self) -> Address | None:
        """Where notes are paid to, which takes no passphrase; None without a key."""
        row = self._database.first("SELECT address FROM shielded_key")
        return None if row is None else Address.from_text(row[0])

    def view_key(self) -> ViewKey:
        """Raises: WalletError: there is no key, or it does not open."""
        return ViewKey.from_bytes(unseal(self._row()[1], self._passphrase))

    def seed(self) -> Seed:
        """Raises: WalletError: there is no key, it is a view key, or it does not open."""
        sealed = self._row()[0]
        if sealed is None:
            raise WalletError("the wallet has a view key, which shows notes and spends none")
        return Seed(unseal(sealed, self._passphrase))

    def _keep(self, seed: bytes | None, view_key: ViewKey) -> None:
        with self._database.transaction():
            if self._database.first("SELECT 1 FROM shielded_key") is not None:
                raise WalletError("the wallet has a shielded key; take another directory for another one")
            self._database.execute(
                "INSERT INTO shielded_key VALUES (1, ?, ?, ?)",
                (seed, seal(view_key.to_bytes(), self._passphrase), view_key.address.to_text()),
            )

    def _row(self) -> tuple[bytes | None, bytes]:
        row = self._database.first("SELECT seed, view_key FROM shielded_key")
        if row is None:
            raise WalletError("the wallet has no shielded key; `supervm wallet address --new` makes one")
        return row[0], row[1]
