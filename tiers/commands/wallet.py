# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm wallet`: the shielded part of a wallet, whose accounts and queue `supervm node` has: key, scan, payments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from supervm.crypto.shielded_keys import Address, Seed
from supervm.kernels.threads import set_threads
from supervm.tiers import console
from supervm.tiers.commands import options, wallet_keys
from supervm.tiers.commands.circuit_files import told_of_circuit_files
from supervm.tiers.commands.wallet_answers import answer, balance_json, queued_json
from supervm.tiers.commands.wallet_keys import Folder, opened
from supervm.tiers.compose import scheduling, threads
from supervm.tiers.errors import VERIFICATION_FAILED
from supervm.tiers.node.connecting import upstream_of
from supervm.tiers.node.errors import NodeError
from supervm.tiers.node.light_client import replay_queue
from supervm.tiers.node.wallet import Queued
from supervm.tiers.wallet import payments
from supervm.tiers.wallet.note_store import Note
from supervm.tiers.wallet.payments import GAS_LIMIT, Order
from supervm.tiers.wallet.scanning import follow, start_following
from supervm.tiers.wallet.selection import merges

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

CODES = dict.fromkeys(("ProofRefused", "UnsatisfiedWitness", "Unsatisfied"), VERIFICATION_FAILED)

UpstreamAddress = Annotated[str, typer.Option("--upstream", help="HOST:PORT of a node of a higher tier.")]
SendTo = Annotated[
    str | None, typer.Option("--upstream", help="HOST:PORT of a node; without, the transaction stays queued.")
]
Sender = Annotated[str, typer.Option("--from", help="An account of the wallet, which pays the gas.")]
Amount = Annotated[int, typer.Option(help="Units of the pool.")]
Fee = Annotated[int, typer.Option(help="Units that go to the fee collector.")]
Memo = Annotated[str, typer.Option(help="For the owner of the new note, at most 71 bytes.")]
Key = Annotated[Path, typer.Option("--key", help="The proving key of ringct_v1, a .zkey.")]
GasLimit = Annotated[int, typer.Option(help="Gas limit.")]
GasPrice = Annotated[int, typer.Option(help="Gas price.")]


@app.callback()
def wallet() -> None:
    """Hold notes of a shielded pool: shield, send, unshield, and look.

    Accounts, which pay for gas, and the queue of signed transactions are those of `supervm node account`, `sign` and
    `replay`. SUPERVM_WALLET_PASSPHRASE opens the keys.
    """


for _name, _part in (
    ("address", wallet_keys.address),
    ("export-seed", wallet_keys.export_seed),
    ("import-seed", wallet_keys.import_seed),
    ("export-view-key", wallet_keys.export_view_key),
    ("import-view-key", wallet_keys.import_view_key),
):
    app.command(_name)(_part)


@app.command()
def scan(
    wallet: Folder,
    upstream: UpstreamAddress,
    pool: Annotated[str | None, typer.Option(help="The pool's address; once, for a new wallet.")] = None,
    chain_id: Annotated[int, typer.Option(help="Of the pool's chain; once, too.")] = 1,
    root: Annotated[str | None, typer.Option(help="A state root that you trust, in hexadecimal.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Forget what was scanned, and begin with the first block.")
    ] = False,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    backend: options.Backend = None,
    strategy: options.Strategy = None,
    as_json: options.AsJson = False,
) -> None:
    """Find the wallet's notes in all blocks since the last scan, and have the pool's note tree proved.

    Without `--root`, against the root that the upstream states.
    """
    tls = (upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key)
    common = {"tier": tier, "config": config, "threads": threads, "backend": backend, "strategy": strategy}
    with (
        console.reporting(as_json, CODES),
        opened(wallet) as (_, key, store),
        _computing(options.upstream_flags(upstream, upstream_token, *tls), **common) as settings,
        upstream_of(settings) as node,
        console.progress_line() as line,
    ):
        trusted = None if root is None else options.from_hex("root", root, 32)
        if pool is not None:
            start_following(store, node, options.from_hex("pool", pool, 20), chain_id, root=trusted)
        found = follow(
            store,
            key.view_key(),
            node,
            root=trusted,
            again=again,
            tell=lambda part: line.update("scanning", part),
        )
        line.update("")
        position = {"block": found.position.number, "block_hash": found.position.hash.hex()}
        counts = {name: value for name, value in asdict(found).items() if name != "position"}
        answer({**position, "leaves_in_all": found.position.size, **counts}, as_json)


@app.command()
def balance(
    wallet: Folder,
    notes: Annotated[bool, typer.Option("--notes", help="List the notes, too.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show what the wallet's notes are worth as of its last scan, in units of the pool. No passphrase is needed."""
    with console.reporting(as_json, CODES), opened(wallet) as (_, _, store):
        found = balance_json(store)
        listed = found.pop("notes")
        if as_json:
            console.print_json({**found, "notes": listed} if notes else found)
            return
        answer(found, as_json)
        for row in listed if notes else ():
            answer(row, as_json)


@app.command()
def shield(
    wallet: Folder,
    sender: Sender,
    amount: Amount,
    key: Key,
    to: Annotated[str | None, typer.Option(help="A shielded address; without, the wallet's own.")] = None,
    fee: Fee = 0,
    memo: Memo = "",
    gas_limit: GasLimit = GAS_LIMIT,
    gas_price: GasPrice = 1,
    upstream: SendTo = None,
    allow_test_key: options.AllowTestKey = False,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    config: options.ConfigFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Pay from an account's balance into a note. Amount and fee are taken from the account."""

    def orders(own: Address, available: Sequence[Note]) -> list[Order]:
        return [payments.shield(_address(to, own), amount, fee, memo.encode())]

    tls = (upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key)
    flags = options.upstream_flags(upstream, upstream_token, *tls)
    _pay(wallet, sender, key, allow_test_key, gas_limit, gas_price, flags, config, orders, as_json)


@app.command()
def send(
    wallet: Folder,
    sender: Sender,
    to: Annotated[str, typer.Option(help="A shielded address.")],
    amount: Amount,
    key: Key,
    fee: Fee = 0,
    memo: Memo = "",
    gas_limit: GasLimit = GAS_LIMIT,
    gas_price: GasPrice = 1,
    upstream: SendTo = None,
    allow_test_key: options.AllowTestKey = False,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    config: options.ConfigFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Pay somebody a note. Amount and fee are taken from the wallet's notes."""

    def orders(own: Address, available: Sequence[Note]) -> list[Order]:
        return [payments.transfer(available, own, _address(to, own), amount, fee, memo.encode())]

    tls = (upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key)
    flags = options.upstream_flags(upstream, upstream_token, *tls)
    _pay(wallet, sender, key, allow_test_key, gas_limit, gas_price, flags, config, orders, as_json)


@app.command()
def unshield(
    wallet: Folder,
    sender: Sender,
    to: Annotated[str, typer.Option(help="An account, in hexadecimal.")],
    amount: Amount,
    key: Key,
    fee: Fee = 0,
    gas_limit: GasLimit = GAS_LIMIT,
    gas_price: GasPrice = 1,
    upstream: SendTo = None,
    allow_test_key: options.AllowTestKey = False,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    config: options.ConfigFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Pay from the wallet's notes to an account's balance, which everybody sees."""

    def orders(own: Address, available: Sequence[Note]) -> list[Order]:
        recipient = options.from_hex("to", to, 20)
        return [payments.unshield(available, own, recipient, amount, fee)]

    tls = (upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key)
    flags = options.upstream_flags(upstream, upstream_token, *tls)
    _pay(wallet, sender, key, allow_test_key, gas_limit, gas_price, flags, config, orders, as_json)


@app.command()
def merge(
    wallet: Folder,
    sender: Sender,
    amount: Annotated[int, typer.Option(help="Units that two notes are to cover in the end.")],
    key: Key,
    fee: Fee = 0,
    gas_limit: GasLimit = GAS_LIMIT,
    gas_price: GasPrice = 1,
    upstream: SendTo = None,
    allow_test_key: options.AllowTestKey = False,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    config: options.ConfigFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Make pairs of the wallet's notes one note each, where a payment needs more than two.

    The fee is that of each pair. After the next scan it may have to be done again.
    """

    def orders(own: Address, available: Sequence[Note]) -> list[Order]:
        return [payments.merge(pair, own, fee) for pair in merges(available, amount)]

    tls = (upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key)
    flags = options.upstream_flags(upstream, upstream_token, *tls)
    _pay(wallet, sender, key, allow_test_key, gas_limit, gas_price, flags, config, orders, as_json)


def _pay(
    folder: Path,
    sender: str,
    key_file: Path,
    allow_test_key: bool,
    gas_limit: int,
    gas_price: int,
    flags: dict[str, str | None],
    config: Path | None,
    orders: Callable[[Address, Sequence[Note]], list[Order]],
    as_json: bool,
) -> None:
    """Queue the transactions of orders, and send what is queued if there is an upstream."""
    from supervm.crypto.groth16_prove import load_zkey

    with console.reporting(as_json, CODES), opened(folder) as (wallet, key, store):
        seed: Seed = key.seed()
        account = options.from_hex("from", sender, 20)
        wanted = orders(seed.view_key.address, store.available())
        found: list[Queued] = []
        with (
            _computing(flags, config=config) as settings,
            console.progress_line() as line,
            told_of_circuit_files(),
        ):
            line.update("reading the key")
            proving = load_zkey(
                key_file, check="subgroup", multiples=1, allow_test_only=allow_test_key, progress=line.update
            )
            for order in wanted:
                gas = {"gas_limit": gas_limit, "gas_price": gas_price}
                found.append(
                    payments.pay(
                        wallet, store, seed, proving, order, sender=account, progress=line.update, **gas
                    )
                )
            if flags["node.upstream"] is not None:
                line.update("sending")
                with upstream_of(settings) as node, _telling_of_the_queue():
                    hashes = {each.hash for each in found}
                    found = [each for each in replay_queue(wallet, node) if each.hash in hashes]
            line.update("")
        answer({"transactions": [queued_json(each) for each in found]}, as_json)
    if proving.test_only:
        console.warn("the key is made for tests alone: whoever made it can forge such proofs")


@contextmanager
def _computing(flags: dict[str, str | None], **common: Any) -> Iterator[Any]:
    """The settings of a command, under which work is computed in the block."""
    hardware, settings = options.settings_of(**common, more=flags)
    set_threads(threads(settings, hardware))
    with scheduling(settings, hardware):
        yield settings


@contextmanager
def _telling_of_the_queue() -> Iterator[None]:
    try:
        yield
    except NodeError:
        console.warn(
            "the payment is signed and queued, whether it has arrived or not: `supervm node replay` sends it again; do not "
            "pay it another time"
        )
        raise


def _address(text: str | None, own: Address) -> Address:
    return own if text is None else Address.from_text(text)
