# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of a mobile node, L4, in SQLite: keys, transactions that were signed and wait, balances that were proved.

Keys are Ed25519, of accounts that send Ethereum transactions secp256k1; they are made and used through `cryptography`, and
stored as PKCS #8, encrypted where there is a passphrase. A
transaction is queued before it is sent anywhere and known by its hash, so it may be sent as often as answers get lost.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.transactions.addresses import ed25519_addresses
from supervm.engine.transactions.batch import DEFAULT_GAS_LIMIT, Scheme, TransactionBatch
from supervm.engine.transactions.encoding import encode, signing_digests, transaction_hashes
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node import ethereum_keys
from supervm.tiers.node.databases import Database
from supervm.tiers.node.errors import WalletError

_TABLES = """
CREATE TABLE IF NOT EXISTS accounts (
    address BLOB PRIMARY KEY, key BLOB NOT NULL, nonce INTEGER NOT NULL DEFAULT 0, balance BLOB, number INTEGER, root BLOB
);
CREATE TABLE IF NOT EXISTS transactions (
    position INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, sender BLOB NOT NULL, nonce INTEGER NOT NULL,
    data BLOB NOT NULL, state TEXT NOT NULL, number INTEGER NOT NULL DEFAULT 0, reason INTEGER NOT NULL DEFAULT 0
);
"""


class Progress(StrEnum):
    """How far a signed transaction is."""

    QUEUED = "queued"
    """Not known to have arrived anywhere."""
    SENT = "sent"
    """An upstream has it and will put it into a block."""
    IN_BLOCK = "in block"
    """Part of a block, see its number and reason."""
    REFUSED = "refused"
    """A check before any block refused it, or a block did, see its number; see the reason. Its nonce is free again."""


OPEN = (Progress.QUEUED, Progress.SENT)
"""What is sent again."""


@dataclass(frozen=True)
class Queued:
    """A signed transaction: its hash, 32 bytes, its encoding, and how far it is; `number` is its block, 0 before."""

    hash: bytes
    sender: bytes
    nonce: int
    data: bytes
    state: Progress
    number: int
    reason: int


@dataclass(frozen=True)
class Account:
    """An own account as it was proved last, at block `number` with this state root; None if it never was."""

    address: bytes
    nonce: int
    balance: int | None
    number: int | None
    root: bytes | None


class Wallet:
    """A wallet in a directory; use it as a context manager, from one thread.

    Args:
        folder: its directory, created for its owner alone if it is not there.
        passphrase: that keys are encrypted with; '' leaves them plain.

    Raises:
        DatabaseFailed: the file cannot be used; so does every method.
        OSError: it cannot be opened, or is readable by others and not one's own.
    """

    def __init__(self, folder: Path, passphrase: str = "") -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "wallet.sqlite"
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)  # of a copy, say; only the owner can
        self._passphrase = passphrase.encode() or None
        self._database = Database(path, _TABLES, sync=True, log=False)

    @property
    def database(self) -> Database:
        """Its database, for what is kept there beside accounts and transactions."""
        return self._database

    def __enter__(self) -> Wallet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # ---------------------------------------------------------------------------------------------- accounts

    def create(self, *, ethereum: bool = False) -> bytes:
        """Make a key; the address of its account, 20 bytes.

        Args:
            ethereum: whether the account is to send Ethereum transactions.

        Raises:
            WalletError: `cryptography` is not installed, or the passphrase is not that of the first account.
        """
        library = _library()
        self.require_passphrase()
        if ethereum:
            key, address = ethereum_keys.new_key()
        else:
            key = library.private.generate()
            public = key.public_key().public_bytes(library.encoding.Raw, library.public_format.Raw)
            address = ed25519_addresses(np.frombuffer(public, np.uint8)[None])[0].tobytes()
        if self._passphrase is None:
            protection = library.plain()
        else:
            protection = library.encrypted(self._passphrase)
        stored = key.private_bytes(library.encoding.PEM, library.private_format.PKCS8, protection)
        self._database.execute("INSERT INTO accounts (address, key) VALUES (?, ?)", (address, stored))
        return address

    def require_passphrase(self) -> None:
        """Make sure that the passphrase is that of the first account, if there is one.

        Raises:
            WalletError: it is not.
        """
        first = self._database.first("SELECT address FROM accounts ORDER BY rowid LIMIT 1")
        if first is not None:
            self._key(first[0])

    def accounts(self) -> list[Account]:
        """All accounts, in the order they were made."""
        rows = self._database.execute(
            "SELECT address, nonce, balance, number, root FROM accounts ORDER BY rowid"
        )
        return [
            Account(address, nonce, None if balance is None else int.from_bytes(balance), number, root)
            for address, nonce, balance, number, root in rows
        ]

    def note_proved(self, account: Account) -> None:
        """Remember an account as it was proved."""
        assert account.balance is not None
        self._database.execute(
            "UPDATE accounts SET nonce = ?, balance = ?, number = ?, root = ? WHERE address = ?",
            (account.nonce, account.balance.to_bytes(32), account.number, account.root, account.address),
        )

    # ---------------------------------------------------------------------------------------------- transactions

    def sign(
        self,
        sender: bytes,
        to: bytes,
        *,
        value: int = 0,
        entry: bytes = b"",
        input: bytes = b"",
        gas_limit: int = DEFAULT_GAS_LIMIT,
        gas_price: int = 1,
        chain_id: int = 1,
        prove: Callable[[TransactionBatch], Messages] | None = None,
        also: Callable[[bytes], None] | None = None,
    ) -> Queued:
        """Sign a transaction and queue it, with the nonce that follows those queued before.

        Args:
            prove: makes the proof of a private transaction, which is bound to all of it but the signature.
            also: called with the hash in the database's transaction that queues it; what it raises undoes that.

        Raises:
            WalletError: no such account, its key cannot be opened, or another transaction was signed during the proof.
            ArgumentError: what no transaction can hold.
        """
        key = self._key(sender)
        if ethereum_keys.is_one(key):
            raise ArgumentError("sender", sender.hex(), "an account that sends no Ethereum transactions")
        if len(to) != 20:
            raise ArgumentError("to", f"{len(to)} bytes", "an address, 20 bytes")
        made: Messages | None = None
        fields: dict[str, Any] = {
            "sender": sender, "to": to, "value": value, "entry": entry, "input": input, "gas_limit": gas_limit,
            "gas_price": gas_price, "chain_id": chain_id, "scheme": Scheme.ED25519,
        }  # fmt: skip
        if prove is not None:
            fields |= {"private": True, "nonce": self._next_nonce(sender)}
            made = prove(
                TransactionBatch.of(**fields)
            )  # which takes seconds, in which nobody waits for the database
        with self._database.transaction():
            nonce = self._next_nonce(sender)
            if fields.get("nonce", nonce) != nonce:
                raise WalletError("another transaction was signed while the proof was made; sign again")
            unsigned = TransactionBatch.of(**{**fields, "nonce": nonce, "proof": made or b""})
            library = _library()
            public = key.public_key().public_bytes(library.encoding.Raw, library.public_format.Raw)
            signature = public + key.sign(signing_digests(unsigned)[0].tobytes())
            batch = replace(unsigned, signature=Messages.of([signature]))
            found = self._queued(batch)
            if also is not None:
                also(found.hash)
        return found

    def sends_ethereum(self, sender: bytes) -> bool:
        """Whether an account sends Ethereum transactions.

        Raises:
            WalletError: no such account, or its key cannot be opened.
        """
        return ethereum_keys.is_one(self._key(sender))

    def sign_ethereum(
        self,
        sender: bytes,
        to: bytes | None,
        *,
        value: int = 0,
        input: bytes = b"",
        gas_limit: int = DEFAULT_GAS_LIMIT,
        gas_price: int = 1,
        chain_id: int = 1,
    ) -> Queued:
        """Sign an Ethereum transaction (EIP-1559) and queue it, with the nonce that follows those queued before.

        Args:
            to: None creates a contract, whose initcode is the input.

        Raises:
            WalletError: no such account, or its key cannot be opened.
            ArgumentError: what no transaction can hold.
        """
        key = self._key(sender)
        with self._database.transaction():
            nonce = self._next_nonce(sender)
            fields: dict[str, Any] = {
                "value": value, "gas_limit": gas_limit, "gas_price": gas_price, "chain_id": chain_id,
            }  # fmt: skip
            # What is out of range is refused here, before anything is signed.
            batch = TransactionBatch.of(
                sender=sender, nonce=nonce, to=to or bytes(20), input=input, scheme=Scheme.ETHEREUM, **fields
            )
            signed = ethereum_keys.signed(key, nonce=nonce, to=to or b"", input=input, **fields)
            return self._queued(replace(batch, input=Messages.of([signed])))

    def _queued(self, batch: TransactionBatch) -> Queued:
        """Queue a signed transaction."""
        hash, sender, nonce = (
            transaction_hashes(batch)[0].tobytes(),
            batch.sender[0].tobytes(),
            int(batch.nonce[0]),
        )
        found = Queued(hash, sender, nonce, encode(batch)[0], Progress.QUEUED, 0, 0)
        # One that was refused before may be signed again: it is the same, and takes its place at the end.
        self._database.execute(
            "INSERT OR REPLACE INTO transactions (hash, sender, nonce, data, state) VALUES (?, ?, ?, ?, ?)",
            (found.hash, sender, nonce, found.data, found.state),
        )
        return found

    def queue(self, states: Sequence[Progress] = tuple(Progress)) -> list[Queued]:
        """Signed transactions in these states, in the order they were signed."""
        marks = ", ".join("?" * len(states))
        rows = self._database.execute(
            f"SELECT hash, sender, nonce, data, state, number, reason FROM transactions WHERE state IN ({marks})"
            " ORDER BY position",
            tuple(states),
        )
        return [
            Queued(hash, sender, nonce, data, Progress(state), number, reason)
            for hash, sender, nonce, data, state, number, reason in rows
        ]

    def note(self, found: Sequence[Queued]) -> None:
        """Remember how far transactions are, all of them or none."""
        with self._database.transaction():
            self._database.execute_many(
                "UPDATE transactions SET state = ?, number = ?, reason = ? WHERE hash = ?",
                [(each.state, each.number, each.reason, each.hash) for each in found],
            )

    def _next_nonce(self, sender: bytes) -> int:
        """Above the proved one, and above those of transactions that were not refused."""
        [(nonce,)] = self._database.execute(
            "SELECT MAX(a.nonce, COALESCE((SELECT MAX(t.nonce) + 1 FROM transactions t"
            " WHERE t.sender = a.address AND t.state != ?), 0)) FROM accounts a WHERE a.address = ?",
            (Progress.REFUSED, sender),
        )
        return int(nonce)

    def _key(self, address: bytes) -> Any:
        row = self._database.first("SELECT key FROM accounts WHERE address = ?", (address,))
        if row is None:
            raise WalletError(f"the wallet has no account {address.hex()}; `supervm node account` lists them")
        try:
            return _library().load(row[0], self._passphrase)
        except (ValueError, TypeError):
            raise WalletError(
                f"the key of {address.hex()} does not open; set SUPERVM_WALLET_PASSPHRASE to its passphrase, or to "
                "nothing if it was made without"
            ) from None


@dataclass(frozen=True)
class _Library:
    """What is used of `cryptography`."""

    private: Any
    encoding: Any
    public_format: Any
    private_format: Any
    plain: Any
    encrypted: Any
    load: Any


def _library() -> _Library:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise WalletError(
            "signing needs the package 'cryptography'; pip install 'supervm-engine[wallet]' brings it"
        ) from None
    return _Library(
        Ed25519PrivateKey,
        serialization.Encoding,
        serialization.PublicFormat,
        serialization.PrivateFormat,
        serialization.NoEncryption,
        serialization.BestAvailableEncryption,
        serialization.load_pem_private_key,
    )
