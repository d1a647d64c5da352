# SPDX-License-Identifier: GPL-3.0-or-later
"""Contracts as the command line names them: a file in binary or text, or a sample contract's name."""

from __future__ import annotations

from pathlib import Path

from supervm.tiers.errors import BrokenFile
from supervm.vm import contracts
from supervm.vm.text import to_binary

MAGIC = b"\0asm"
"""The first bytes of a module in binary (WebAssembly specification, "Modules", binary format)."""


def read_contract(name: str) -> bytes:
    """The module that a name stands for; a file goes before a sample contract.

    Raises:
        BrokenFile: there is no such file and no such sample, or it cannot be read.
        ContractRejected: a text that is no module.
    """
    path = Path(name)
    if not path.exists() and name in contracts.names():
        return contracts.load(name)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        samples = ", ".join(contracts.names())
        raise BrokenFile(name, "", f"no such file, and no sample contract ({samples})") from None
    except OSError as error:
        raise BrokenFile(name, "", error.strerror or str(error)) from None
    if path.suffix != ".wat" or content.startswith(MAGIC):
        return content
    try:
        return to_binary(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BrokenFile(name, f"byte {error.start}", "not UTF-8") from None


def summary(name: str) -> str:
    """The first sentence of a sample contract's text."""
    lines = (line.removeprefix(";;").strip() for line in contracts.source(name).splitlines()[1:])
    return next(line for line in lines if line)
