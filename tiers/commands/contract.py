# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm contract`: for authors of contracts, from checking one to calling it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from supervm.engine.config import Mode
from supervm.engine.engine import Engine
from supervm.engine.files.input_files import STANDARD_INPUT, read_input
from supervm.engine.single_call import SENDER, call_contract
from supervm.engine.storage.layout import FORMAT_FILE
from supervm.engine.transactions.batch import DEFAULT_GAS_LIMIT
from supervm.kernels.errors import ArgumentError
from supervm.tiers import console, output
from supervm.tiers.commands import contract_answers as show
from supervm.tiers.commands import options
from supervm.tiers.compose import engine_config
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED, BrokenFile, told_as_broken_file
from supervm.vm import contracts
from supervm.vm.errors import ContractRejected
from supervm.vm.modules import check as check_contract
from supervm.vm.text import to_binary

CODES = {"ContractRejected": VERIFICATION_FAILED}
WORD_BYTES, ADDRESS_BYTES = 32, 20

MOST_BYTES = 16 << 20
"""Bytes of a file that is read; the rules of contracts take far fewer."""

MAGIC = b"\0asm"
"""The first bytes of a module in binary (WebAssembly specification, "Modules", binary format)."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A .wasm or .wat file, or the name of a sample contract.")
]
State = Annotated[Path, typer.Option("--state", help="The directory of the state.")]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="20 bytes in hexadecimal.")]


@app.callback()
def contract() -> None:
    """Check contracts, deploy them, call them, and pay for it."""


@app.command()
def check(file: File, as_json: options.AsJson = False) -> None:
    """Check a contract against the rules of docs/execution-rules.md, and compile it, as a deployment does.

    Exit code 1 names the rule that it breaks.
    """
    with console.reporting(as_json):
        try:
            code = read_contract(file)
            info = check_contract(code)
        except ContractRejected as error:
            if as_json:
                console.print_json(show.rejection_json(file, error) | {"environment": environment()})
            console.show_error(error)
            raise typer.Exit(VERIFICATION_FAILED) from None
        if as_json:
            console.print_json(show.check_json(file, code, info) | {"environment": environment()})
        else:
            show.show_check(code, info)


@app.command()
def deploy(
    file: File,
    state: State,
    salt: Annotated[
        str,
        typer.Option(
            help="32 bytes in hexadecimal; another salt gives another address.", show_default="zeros"
        ),
    ] = "00" * WORD_BYTES,
    as_json: options.AsJson = False,
) -> None:
    """Deploy a contract into a state, which is created if there is none."""
    with console.reporting(as_json, CODES):
        code, grain = read_contract(file), options.from_hex("salt", salt, WORD_BYTES)
        check_contract(code)  # before a directory is made for nothing
        with _opened(state, create=True) as engine:
            deployed = {"address": engine.deploy(code, grain).hex()} | _position(engine)
        show.answer(as_json, deployed)


@app.command()
def call(
    address: Address,
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="Name of the entry point.")],
    state: State,
    input: Annotated[str, typer.Option(help="In hexadecimal.")] = "",
    sender: Annotated[
        str, typer.Option(help="20 bytes in hexadecimal.", show_default="the address 1")
    ] = SENDER.hex(),
    value: Annotated[int, typer.Option(help="Moved to the contract.")] = 0,
    gas_limit: Annotated[int, typer.Option(help="Gas that the call may use.")] = DEFAULT_GAS_LIMIT,
    gas_price: Annotated[int, typer.Option(help="What a unit of gas costs the sender.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Leave the state as it is.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Call a contract, in a block of its own; exit code 1 if the transaction is rejected or fails."""
    with console.reporting(as_json):
        target, data = options.from_hex("address", address, ADDRESS_BYTES), options.from_hex("input", input)
        origin = options.from_hex("sender", sender, ADDRESS_BYTES)
        with _opened(state) as engine:
            if dry_run:
                engine.detach()
            called = call_contract(
                engine,
                target,
                entry,
                input=data,
                sender=origin,
                value=value,
                gas_limit=gas_limit,
                gas_price=gas_price,
            )
            position = _position(engine)
        outcome = show.call_json(called, dry_run) | position
        if as_json:
            console.print_json(outcome | {"environment": environment()})
        else:
            show.show_call(called, outcome)
    if not called.receipt.success:
        raise typer.Exit(VERIFICATION_FAILED)


@app.command()
def credit(
    address: Address,
    amount: Annotated[int, typer.Argument(metavar="AMOUNT", help="Units of money.")],
    state: State,
    as_json: options.AsJson = False,
) -> None:
    """Give an account money out of nothing, so that it can pay; the state is created if there is none."""
    with console.reporting(as_json):
        account = options.from_hex("address", address, ADDRESS_BYTES)
        if not 0 < amount < 1 << 256:
            raise ArgumentError("amount", str(amount), "1 to 2^256 − 1")
        with _opened(state, create=True) as engine:
            row = np.frombuffer(account, np.uint8)[None]
            engine.credit(row, np.frombuffer(amount.to_bytes(WORD_BYTES), np.uint8)[None])
            held = {"address": account.hex(), "balance": engine.account(account)[1], "supply": engine.supply}
            held |= _position(engine)
        show.answer(as_json, held)


@app.command("list")
def list_samples(
    show_name: Annotated[
        str | None, typer.Option("--show", metavar="NAME", help="Print the source of this one.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the sample contracts."""
    with console.reporting(as_json):
        if show_name is not None:
            source = contracts.source(show_name)
            if as_json:
                console.print_json({"name": show_name, "source": source, "environment": environment()})
            else:
                output.print_plain(source)
            return
        samples = [(name, summary(name), contracts.load(name)) for name in contracts.names()]
        rows = [show.sample_json(name, words, code) for name, words, code in samples]
        if as_json:
            console.print_json({"contracts": rows, "environment": environment()})
        else:
            show.show_samples(rows)


@contextmanager
def _opened(path: Path, create: bool = False) -> Iterator[Engine]:
    """An engine on a state, for one transaction at a time."""
    if not create and not (path / FORMAT_FILE).exists():
        expected = "the directory of a state; `supervm contract deploy` makes one"
        raise ArgumentError("state", str(path), expected)
    hardware, settings = options.settings_of()
    with console.progress_line() as line:
        line.update(f"opening {path}")
        config = engine_config(settings, hardware, mode=Mode.SEQUENTIAL)
        with Engine.open(path, config) as engine:
            yield engine


def _position(engine: Engine) -> dict[str, Any]:
    return {"height": engine.height, "state_root": engine.state_root.hex()}


def read_contract(name: str) -> bytes:
    """The module that a name stands for; a file goes before a sample contract, '-' is standard input.

    Raises:
        BrokenFile: there is no such file and no such sample, or it cannot be read.
        ContractRejected: a text that is no module.
    """
    path = Path(name)
    if name != STANDARD_INPUT and not path.exists():
        if name in contracts.names():
            return contracts.load(name)
        samples = ", ".join(contracts.names())
        raise BrokenFile(name, "", f"no such file, and no sample contract ({samples})")
    with told_as_broken_file():
        content = bytes(read_input(name, MOST_BYTES))
    # A pipe has no name that tells: what does not begin as a binary is text there.
    if content.startswith(MAGIC) or (path.suffix != ".wat" and name != STANDARD_INPUT):
        return content
    try:
        return to_binary(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BrokenFile(name, f"byte {error.start}", "not UTF-8") from None


def summary(name: str) -> str:
    """The first sentence of a sample contract's text."""
    lines = (line.removeprefix(";;").strip() for line in contracts.source(name).splitlines()[1:])
    return next(line for line in lines if line)
