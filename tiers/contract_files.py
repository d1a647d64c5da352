# SPDX-License-Identifier: GPL-3.0-or-later
"""Contracts as the command line names them: a file in binary or text, or a sample contract's name."""

from __future__ import annotations

from pathlib import Path

from supervm.engine.files.input_files import STANDARD_INPUT, read_input
from supervm.tiers.errors import BrokenFile, told_as_broken_file
from supervm.vm import contracts
from supervm.vm.text import to_binary

MOST_BYTES = 16 << 20
"""Bytes of a file that is read; the rules of contracts take far fewer."""

MAGIC = b"\0asm"
"""The first bytes of a module in binary (WebAssembly specification, "Modules", binary format)."""


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
