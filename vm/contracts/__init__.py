# SPDX-License-Identifier: GPL-3.0-or-later
"""Sample contracts: WebAssembly text beside the binary that is deployed.

Each text says in its first lines which entry points there are, what they read, return, store and emit. The binaries
are made from the texts by `python -m supervm.vm.contracts.build`.
"""

from __future__ import annotations

from importlib.resources import files

from supervm.kernels.errors import ArgumentError


def names() -> tuple[str, ...]:
    """Names of the contracts, in alphabetical order."""
    entries = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(entry.removesuffix(".wat") for entry in entries if entry.endswith(".wat")))


def load(name: str) -> bytes:
    """The module of a contract, to be deployed; ArgumentError for an unknown name."""
    return files(__name__).joinpath(f"{_known(name)}.wasm").read_bytes()


def source(name: str) -> str:
    """The text of a contract; ArgumentError for an unknown name."""
    return files(__name__).joinpath(f"{_known(name)}.wat").read_text(encoding="utf-8")


def _known(name: str) -> str:
    if name not in names():
        raise ArgumentError("name", repr(name), f"one of {', '.join(names())}")
    return name
