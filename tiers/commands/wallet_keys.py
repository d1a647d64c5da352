# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of `supervm wallet` that are about its shielded key: address, seed and view key, and their copies as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from supervm.crypto.shielded_keys import Seed, ViewKey
from supervm.engine.files.input_files import read_input
from supervm.kernels.errors import ArgumentError
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.commands.wallet_answers import answer
from supervm.tiers.errors import BrokenFile, told_as_broken_file
from supervm.tiers.node.wallet import Wallet
from supervm.tiers.wallet.note_store import NoteStore
from supervm.tiers.wallet.shielded_key import ShieldedKey

MOST_KEY_BYTES = 4096
"""Of a file with a seed or a view key."""

Folder = Annotated[Path, typer.Option("--wallet", help="The wallet's directory.")]

_Key = TypeVar("_Key", Seed, ViewKey)


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Wallet, ShieldedKey, NoteStore]]:
    """The wallet in a directory, its shielded key and its notes."""
    passphrase = options.passphrase()
    with Wallet(folder, passphrase) as wallet:
        yield wallet, ShieldedKey(wallet.database, passphrase), NoteStore(wallet.database)


def address(
    wallet: Folder,
    new: Annotated[bool, typer.Option("--new", help="Make the wallet's shielded key.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show the address that others pay notes to."""
    with console.reporting(as_json), opened(wallet) as (accounts, key, _):
        if new:
            accounts.require_passphrase()
        found = key.create() if new else key.address()
        if found is None:
            key.view_key()  # which says what to do
        else:
            answer({"address": found.to_text()}, as_json)


def export_seed(wallet: Folder, as_json: options.AsJson = False) -> None:
    """Print the seed, the backup of the shielded key: whoever has it spends everything that the wallet is ever paid."""
    with console.reporting(as_json), opened(wallet) as (_, key, _):
        answer({"seed": key.seed().to_text()}, as_json)
    console.warn(
        "whoever has the seed spends everything that the wallet is ever paid, and it cannot be changed; keep it offline"
    )


def import_seed(
    file: Annotated[Path, typer.Argument(help="A file with the seed and nothing else.")],
    wallet: Folder,
    as_json: options.AsJson = False,
) -> None:
    """Give a wallet without a shielded key that of a seed; a scan finds its notes again."""
    with console.reporting(as_json), opened(wallet) as (accounts, key, _):
        accounts.require_passphrase()
        answer({"address": key.create(_read(file, Seed.from_text)).to_text()}, as_json)


def export_view_key(wallet: Folder, as_json: options.AsJson = False) -> None:
    """Print the view key: whoever has it sees all that the wallet was paid and has spent, and can spend nothing."""
    with console.reporting(as_json), opened(wallet) as (_, key, _):
        answer({"view_key": key.view_key().to_text()}, as_json)


def import_view_key(
    file: Annotated[Path, typer.Argument(help="A file with the view key and nothing else.")],
    wallet: Folder,
    as_json: options.AsJson = False,
) -> None:
    """Make a wallet that only looks, with somebody's view key."""
    with console.reporting(as_json), opened(wallet) as (accounts, key, _):
        accounts.require_passphrase()
        found = _read(file, ViewKey.from_text)
        key.look_with(found)
        answer({"address": found.address.to_text()}, as_json)


def _read(file: Path, from_text: Callable[[str], _Key]) -> _Key:
    """The key in a file; errors do not repeat what is in it."""
    with told_as_broken_file():
        text = read_input(file, MOST_KEY_BYTES)
    try:
        return from_text(bytes(text).decode("ascii").strip())
    except UnicodeDecodeError:
        raise BrokenFile(str(file), "", "not ASCII") from None
    except ArgumentError as error:
        raise BrokenFile(str(file), "", str(error)) from None
