# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm node`: a node of any tier; and what belongs to one: block files, and a wallet's accounts and queue."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.config import EngineConfig
from supervm.engine.ethereum.carried import carry, created_address
from supervm.engine.files.whole_files import whole_folder
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import encode
from supervm.engine.workloads import (
    Genesis,
    Parameters,
    Workload,
    pool_calls,
    read_workload,
    write_workload,
)
from supervm.kernels.errors import ArgumentError
from supervm.tiers import console, progress
from supervm.tiers.commands import options
from supervm.tiers.commands.wallet_answers import queued_json, sent_json
from supervm.tiers.errors import VERIFICATION_FAILED
from supervm.tiers.node.blocks import GENESIS_FILE, chain_of, genesis_hash_of, write_block
from supervm.tiers.node.connecting import upstream_of
from supervm.tiers.node.light_client import check_accounts, check_slot, replay_queue
from supervm.tiers.node.running import EDGE, FULL, Places, Ready, role_of, run_edge, run_full, run_mobile
from supervm.tiers.node.submission import request_of
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.wallet import Account, Wallet

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)

CODES = {"WrongRoot": VERIFICATION_FAILED}

WalletFolder = Annotated[Path, typer.Option("--wallet", help="The wallet's directory.")]
UpstreamAddress = Annotated[str, typer.Option("--upstream", help="HOST:PORT of a node of a higher tier.")]


@app.callback()
def node(
    context: typer.Context,
    genesis: Annotated[Path | None, typer.Option(help="The genesis file (L1, L2).")] = None,
    state: Annotated[Path | None, typer.Option(help="The node's own directory (L1, L2).")] = None,
    blocks: Annotated[
        Path | None, typer.Option(help="Follow the block files of this directory; else blocks are submitted.")
    ] = None,
    wallet: Annotated[Path | None, typer.Option(help="The wallet's directory (L4).")] = None,
    grpc: Annotated[str | None, typer.Option(help="HOST:PORT for gRPC, or 'off'.")] = None,
    http: Annotated[str | None, typer.Option(help="HOST:PORT for an operator's HTTP, or 'off'.")] = None,
    upstream: Annotated[str | None, typer.Option(help="HOST:PORT of a higher tier's node (L3, L4).")] = None,
    groth16_keys: options.Groth16Keys = None,
    allow_test_keys: options.AllowTestKeys = False,
    tokens: options.Tokens = None,
    tls_certificate: options.TlsCertificate = None,
    tls_key: options.TlsKey = None,
    tls_clients: options.TlsClients = None,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    until: Annotated[int | None, typer.Option(help="Stop after this block.")] = None,
    signatures: Annotated[
        bool,
        typer.Option("--signatures/--no-signatures", help="Whether the chain's transactions are signed."),
    ] = True,
    sync: Annotated[bool, typer.Option("--sync/--no-sync", help="Wait for the disk at every block.")] = False,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    backend: options.Backend = None,
    strategy: options.Strategy = None,
    as_json: options.AsJson = False,
) -> None:
    """Run a node of this machine's tier until a signal stops it.

    SIGTERM and SIGINT stop it after the block in hand; after any end it goes on where it was. A block file that cannot
    follow ends it with exit code 2, another state root than the genesis announces with exit code 1. With `--json` the
    object appears when the node is ready, with `--until` at its end.
    """
    if context.invoked_subcommand is not None:
        return
    flags = {
        "node.grpc": grpc,
        "node.http": http,
        **options.groth16_flags("node", groth16_keys, allow_test_keys),
        **options.port_flags("node", tokens, tls_certificate, tls_key, tls_clients),
        **options.upstream_flags(
            upstream, upstream_token, upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key
        ),
    }
    places = Places(genesis, state, blocks, wallet)
    with console.reporting(as_json, CODES), console.progress_line(progress.log.info) as line:
        hardware, settings = options.settings_of(tier, config, threads, backend, None, strategy, flags)
        line.update("starting")

        def ready(found: Ready) -> None:
            line.update("")  # from here on only compilations are told
            _show_ready(found, as_json and until is None)

        if role_of(settings) == FULL or genesis is not None or blocks is not None:
            outcome = run_full(
                settings, hardware, places, ready, signatures=signatures, sync=sync, until=until
            )
            words = f"stopped after block {outcome.number}, root {outcome.state_root}"
            console.notes().print(f"{words}; {outcome.blocks:,} blocks, {outcome.rate:,.0f} transactions/s")
            if as_json and until is not None:
                console.print_json({**asdict(outcome), "tps": outcome.rate})
        elif role_of(settings) == EDGE:
            run_edge(settings, hardware, ready, signatures=signatures)
        else:
            run_mobile(settings, hardware, places, options.passphrase(), ready)


@app.command()
def genesis(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    credit: Annotated[
        list[str] | None, typer.Option(help="ADDRESS=AMOUNT: an account with money; may come often.")
    ] = None,
    pool: Annotated[bool, typer.Option("--pool", help="A shielded pool, of 10^9 a unit.")] = False,
    evm: Annotated[
        str, typer.Option(help="The fork by whose rules Ethereum transactions are executed, such as osaka.")
    ] = "",
    as_json: options.AsJson = False,
) -> None:
    """Make the genesis file of a chain whose state begins with these balances, and with a shielded pool if asked.

    With `--evm` the chain's blocks may have Ethereum transactions.
    """
    with console.reporting(as_json):
        pairs = [each.partition("=") for each in credit or []]
        addresses = [options.from_hex("credit", address, 20) for address, _, _ in pairs]
        amounts = [_amount(amount).to_bytes(32) for _, _, amount in pairs]
        shielded = (pool_calls.deployment(),) if pool else ()
        fork = EngineConfig(evm=evm).evm  # which refuses what is none
        state = Genesis(_rows(addresses, 20), _rows(amounts, 32), deployments=shielded, evm=fork)
        nothing = TransactionBatch.concatenate([])
        write_workload(file, Workload("genesis", Parameters(), state, nothing, np.zeros(1, np.int64)))
        pools = {"pool": shielded[0].address.hex()} if shielded else {}
        _answer({"genesis": str(file), "genesis_hash": genesis_hash_of(file).hex(), **pools}, as_json)


@app.command()
def split(
    workload: Annotated[Path, typer.Argument(help="A workload file (`supervm run --save`).")],
    folder: Annotated[Path, typer.Argument(help="Where the genesis and the blocks go.")],
    as_json: options.AsJson = False,
) -> None:
    """Make a genesis file and block files of a workload. The genesis announces the root that the workload came to."""
    with console.reporting(as_json):
        found = read_workload(workload)
        told = found.announced
        if told and told.blocks != len(found):
            announced = f"{told.blocks:,} announced blocks and {len(found):,}"
            raise ArgumentError("workload", announced, "a file whose announcement is that of its blocks")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ArgumentError("folder", f"{folder}, which is not empty", "a directory that is new or empty")
        nothing = replace(
            found, transactions=found.transactions.slice(0, 0), block_offsets=found.block_offsets[:1]
        )
        with whole_folder(folder) as unfinished:
            write_workload(unfinished / GENESIS_FILE, nothing)
            hash = genesis_hash_of(unfinished / GENESIS_FILE)
            last = 0
            for last, data in enumerate(chain_of(found.blocks, hash), 1):
                write_block(unfinished, last, data)
        answer = {
            "genesis": str(folder / GENESIS_FILE),
            "genesis_hash": hash.hex(),
            "blocks": last,
            "announced_root": told.state_root.hex() if told else None,
        }
        _answer(answer, as_json)


@app.command()
def account(
    wallet: WalletFolder,
    new: Annotated[bool, typer.Option("--new", help="Make another one.")] = False,
    ethereum: Annotated[
        bool, typer.Option("--ethereum", help="With --new: one that sends Ethereum transactions.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """List a wallet's accounts as they were proved last, or make one."""
    with console.reporting(as_json), Wallet(wallet, options.passphrase()) as opened:
        if new:
            opened.create(ethereum=ethereum)
        _answer({"accounts": [_account_json(each) for each in opened.accounts()]}, as_json)


@app.command()
def sign(
    wallet: WalletFolder,
    sender: Annotated[str, typer.Option("--from", help="An account of the wallet.")],
    to: Annotated[
        str | None,
        typer.Option(help="Recipient, or contract; an Ethereum transaction without one creates a contract."),
    ] = None,
    value: Annotated[int, typer.Option(help="Amount.")] = 0,
    entry: Annotated[str, typer.Option(help="Entry point of a call.")] = "",
    data: Annotated[
        str, typer.Option("--input", help="Its input, or a new contract's initcode, in hexadecimal.")
    ] = "",
    gas_limit: Annotated[int, typer.Option(help="Gas limit.")] = 100_000,
    gas_price: Annotated[int, typer.Option(help="Gas price.")] = 1,
    as_json: options.AsJson = False,
) -> None:
    """Sign a transaction and queue it; no connection is needed."""
    with console.reporting(as_json), Wallet(wallet, options.passphrase()) as opened:
        own = options.from_hex("from", sender, 20)
        target = None if to is None else options.from_hex("to", to, 20)
        given: dict[str, Any] = {
            "value": value,
            "input": options.from_hex("input", data),
            "gas_limit": gas_limit,
            "gas_price": gas_price,
        }
        if opened.sends_ethereum(own):
            if entry:
                raise ArgumentError("entry", repr(entry), "none: Ethereum's contracts have no entry points")
            queued = opened.sign_ethereum(own, target, **given)
        elif target is None:
            raise ArgumentError("to", "nothing", "an address: only Ethereum transactions create contracts")
        else:
            queued = opened.sign(own, target, entry=entry.encode(), **given)
        answer = queued_json(queued)
        if target is None:
            answer["contract"] = created_address(queued.sender, queued.nonce).hex()
        _answer(answer, as_json)


@app.command()
def send(
    transactions: Annotated[
        list[str],
        typer.Argument(metavar="TRANSACTIONS", help="Signed Ethereum transactions, in hexadecimal."),
    ],
    upstream: UpstreamAddress,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    config: options.ConfigFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Send Ethereum transactions that another wallet has signed, or ask what became of them: nothing happens twice."""
    tls = (upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key)
    with console.reporting(as_json), _upstream(config, upstream, upstream_token, *tls) as node_above:
        raw = [options.from_hex("transaction", each) for each in transactions]
        encoded = encode(carry(Messages.of(raw)))
        reply = node_above.submit_transactions(request_of([encoded[row] for row in range(len(raw))]))
        _answer({"transactions": sent_json(reply)}, as_json)


@app.command()
def storage(
    contract: Annotated[str, typer.Argument(help="The address of an EVM contract.")],
    slot: Annotated[str, typer.Argument(help="The slot, as a number, or in hexadecimal behind 0x.")],
    upstream: UpstreamAddress,
    root: Annotated[str | None, typer.Option(help="A state root that you trust, in hexadecimal.")] = None,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    config: options.ConfigFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Have a slot of an EVM contract's storage proved. Without `--root`, against the root that the upstream states."""
    tls = (upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key)
    with console.reporting(as_json), _upstream(config, upstream, upstream_token, *tls) as node_above:
        found = check_slot(
            node_above,
            options.from_hex("contract", contract, 20),
            _slot(slot),
            None if root is None else options.from_hex("root", root, 32),
        )
        _answer({"value": hex(found.value), "block": found.number, "state_root": found.root.hex()}, as_json)


@app.command()
def replay(
    wallet: WalletFolder,
    upstream: UpstreamAddress,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    config: options.ConfigFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Send the queue, as often as you like: nothing happens twice."""
    tls = (upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key)
    with (
        console.reporting(as_json),
        Wallet(wallet) as opened,
        _upstream(config, upstream, upstream_token, *tls) as node_above,
    ):
        found = replay_queue(opened, node_above)
        _answer({"transactions": [queued_json(each) for each in found]}, as_json)


@app.command()
def check(
    wallet: WalletFolder,
    upstream: UpstreamAddress,
    root: Annotated[str | None, typer.Option(help="A state root that you trust, in hexadecimal.")] = None,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    config: options.ConfigFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Have the wallet's accounts proved. Without `--root`, against the root that the upstream states."""
    tls = (upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key)
    with (
        console.reporting(as_json),
        Wallet(wallet) as opened,
        _upstream(config, upstream, upstream_token, *tls) as node_above,
    ):
        trusted = None if root is None else options.from_hex("root", root, 32)
        found = check_accounts(opened, node_above, trusted)
        _answer({"accounts": [_account_json(each) for each in found]}, as_json)


def _upstream(config: Path | None, *given: str | None) -> Upstream:
    """The upstream that the settings name, `upstream_flags` given."""
    _, settings = options.settings_of(config=config, more=options.upstream_flags(*given))
    return upstream_of(settings)


def _slot(text: str) -> int:
    try:
        found = int(text, 0)
    except ValueError:
        found = -1
    if not 0 <= found < 1 << 256:
        raise ArgumentError("slot", repr(text), "a whole number below 2^256")
    return found


def _amount(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 256:
        raise ArgumentError("credit", repr(text), "ADDRESS=AMOUNT, the amount a whole number below 2^256")
    return int(text)


def _rows(rows: list[bytes], width: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, width)


def _show_ready(found: Ready, as_json: bool) -> None:
    if as_json:
        console.print_json(asdict(found))
        return
    where = ", ".join(
        f"{name} on {at}" for name, at in (("gRPC", found.grpc), ("HTTP", found.http)) if at is not None
    )
    words = f"{found.tier} {found.role} node at block {found.number}; {where or 'listens nowhere'}"
    console.notes().print(console.plain(words))


def _answer(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.print_json(answer)
        return
    listed = next((value for value in answer.values() if isinstance(value, list)), None)
    if listed == []:
        console.answers().print(f"no {next(iter(answer))}")
    for row in [answer] if listed is None else listed:
        console.print_pairs((name, "none" if value is None else str(value)) for name, value in row.items())


def _account_json(account: Account) -> dict[str, Any]:
    return {
        "address": account.address.hex(),
        "nonce": account.nonce,
        "balance": None if account.balance is None else str(account.balance),
        "block": account.number,
        "state_root": None if account.root is None else account.root.hex(),
    }
