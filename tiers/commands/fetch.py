# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm fetch`: blocks from a node, with the state that they run on, as folders for `supervm replay`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from supervm.engine.ethereum.fetch import (
    ANCESTORS,
    Fetched,
    Node,
    chain_of,
    fetch_block,
    latest,
    write_block,
)
from supervm.engine.ethereum.fetch.rpc import BATCH, TIMEOUT, TRIES
from supervm.kernels.errors import ArgumentError
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.errors import UsageError
from supervm.tiers.tables import print_table
from supervm.vm.evm.forks import fork_named

TAGS = ("latest", "safe", "finalized")
"""Names that nodes have for blocks; execution-apis, `BlockTag`."""

MOST_BLOCKS = 10_000
"""In one range."""

_NUMBER = r"(0x[0-9a-fA-F]{1,16}|[0-9]{1,18})"
_RANGE = re.compile(f"{_NUMBER}(?:-{_NUMBER})?")


@dataclass(frozen=True)
class _Written:
    """A block's folder, and what is in it."""

    folder: Path
    fetched: Fetched

    def to_json(self) -> dict[str, Any]:
        found = self.fetched
        return {
            "number": found.block.number,
            "folder": str(self.folder),
            "hash": f"0x{found.block.hash.tobytes().hex()}",
            "transactions": len(found.block.transactions),
            "accounts": found.accounts,
            "slots": found.slots,
            "codes": found.codes,
            "nodes": found.nodes,
            "touched_by": found.touched.method,
            "state_by": found.method,
            "complete": found.touched.complete,
            "notes": list(found.notes),
        }


def fetch(
    blocks: Annotated[
        list[str], typer.Argument(metavar="BLOCK", help=f"Numbers, FIRST-LAST, {', '.join(TAGS)}.")
    ],
    rpc: Annotated[str, typer.Option("--rpc", metavar="URL", help="A node's JSON-RPC, over HTTP.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="A folder NUMBER for each block goes here.")
    ],
    fork: Annotated[
        str | None, typer.Option("--fork", help="The fork of a chain that is not mainnet, such as prague.")
    ] = None,
    ancestors: Annotated[
        int, typer.Option("--ancestors", min=0, max=ANCESTORS, help="Blocks whose hashes are fetched too.")
    ] = ANCESTORS,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.01, help="Seconds that the node may be silent.")
    ] = TIMEOUT,
    tries: Annotated[int, typer.Option("--tries", min=1, help="Of each request.")] = TRIES,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Calls in one request.")] = BATCH,
    as_json: options.AsJson = False,
) -> None:
    """Fetch blocks from a node, with the state that they run on, as folders for `supervm replay`.

    Accounts and slots are those of the node's prestate tracer, or of access lists where it has none; values come with
    proofs where the node gives them. Every folder is whole or not there. Exit code 2 for an answer that is not what was
    asked for, 3 for a node that does not answer or refuses.
    """
    with console.reporting(as_json):
        if fork is not None:
            fork_named(fork)
        node = Node(rpc, timeout=timeout, tries=tries, batch=batch)
        with console.progress_line() as line:
            line.update("asking for the chain")
            chain = chain_of(node, fork)
            numbers = list(dict.fromkeys(number for text in blocks for number in _numbers(node, text)))
            folders = [out / str(number) for number in numbers]
            _refuse_existing(folders)
            written = []
            for done, (number, folder) in enumerate(zip(numbers, folders, strict=True)):
                line.update(f"block {number}", done / len(numbers))
                fetched = fetch_block(node, number, chain, ancestors=ancestors)
                written.append(_Written(write_block(folder, fetched), fetched))
        for each in written:
            for note in each.fetched.notes:
                console.warn(f"block {each.fetched.block.number}: {note}")
        if as_json:
            answer = {"node": node.name, "chain_id": chain.id, "fork": chain.fork}
            console.print_json({**answer, "blocks": [each.to_json() for each in written]})
        else:
            _show(written)


def _numbers(node: Node, text: str) -> Iterator[int]:
    """The blocks that one argument names.

    Raises:
        ArgumentError: it names none.
    """
    if text in TAGS:
        yield latest(node, text)
        return
    found = _RANGE.fullmatch(text)
    if not found:
        shown = repr(text if len(text) <= options.SHOWN else f"{text[: options.SHOWN]}…")
        raise ArgumentError("block", shown, f"a number, FIRST-LAST, or one of {', '.join(TAGS)}")
    first, last = (
        int(part, 0) if part.startswith("0x") else int(part) for part in (found[1], found[2] or found[1])
    )
    if not 0 <= last - first < MOST_BLOCKS:
        raise ArgumentError("block", repr(text), f"FIRST-LAST, of at most {MOST_BLOCKS:,} blocks")
    yield from range(first, last + 1)


def _refuse_existing(folders: list[Path]) -> None:
    """Before anything is asked for: what is there stays as it is.

    Raises:
        UsageError: a folder, or something else, is there.
    """
    for folder in folders:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UsageError(f"{folder} is there already; remove it, or name another folder with --out")


def _show(written: list[_Written]) -> None:
    rows = [
        (
            str(found.block.number),
            f"{len(found.block.transactions):,}",
            f"{found.accounts:,}",
            f"{found.slots:,}",
            f"{found.codes:,}",
            f"{found.nodes:,}",
            console.plain(str(each.folder)),
        )
        for each in written
        for found in (each.fetched,)
    ]
    columns = ("#block", "#transactions", "#accounts", "#slots", "#codes", "#nodes", "folder")
    print_table(columns, rows, framed=False)
