# SPDX-License-Identifier: GPL-3.0-or-later
"""Contracts of the EVM, written in Solidity for this project, and what the compiler made of them.

| contract | what it is |
|---|---|
| `Token` | an ERC-20 token |
| `Pair`, `Router` | a constant-product exchange of two tokens, and what makes pairs and swaps in them |
| `Ledger` | storage of every form, by the dozen |
| `Workshop`, `Piece` | calls in calls, creations, destructions, reverts, logs, transient storage |

`make evm-contracts` compiles the sources (`build.py`). `manifest.json` has the digests of sources and of results, and what
is loaded here is checked against it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from supervm.engine.ethereum.contracts.abi import encode_arguments
from supervm.kernels.errors import ArgumentError, SupervmError

MANIFEST = "manifest.json"
COMPILED = "compiled"


@dataclass(frozen=True)
class Contract:
    """A compiled contract.

    Args:
        name: as its source has it.
        abi: as Solidity describes it in JSON.
        methods: selector, 4 bytes, of each function by its signature, such as `transfer(address,uint256)`.
        storage: first slot of each variable.
        immutables: whether the code gets values at its creation, so that `runtime` is not what an account has.
        creation: what a transaction without a recipient carries, arguments of the constructor behind it.
        runtime: the code of the account.
    """

    name: str
    abi: list[dict[str, Any]]
    methods: dict[str, bytes]
    storage: dict[str, int]
    immutables: bool
    creation: bytes
    runtime: bytes

    def selector(self, function: str) -> bytes:
        """The first four bytes of a call.

        Raises:
            ArgumentError: no function, or more than one, has this name.
        """
        return self.methods[self._signature(function)]

    def call(self, function: str, *arguments: Any) -> bytes:
        """The input of a call.

        Args:
            function: its name.
            arguments: as `abi.encode_arguments` takes them.

        Raises:
            ArgumentError: no such function, or other arguments than it takes.
        """
        signature = self._signature(function)
        return self.methods[signature] + encode_arguments(signature.partition("(")[2][:-1], *arguments)

    def created(self, *arguments: Any) -> bytes:
        """The input of the transaction that creates it, with the constructor's arguments."""
        inputs: list[dict[str, Any]] = next(
            (entry["inputs"] for entry in self.abi if entry["type"] == "constructor"), []
        )
        types = ",".join(each["type"] for each in inputs)
        return self.creation + encode_arguments(types, *arguments)

    def source(self) -> str:
        """The source that it is in."""
        names = sorted(path.name for path in files(__name__).iterdir() if path.name.endswith(".sol"))
        texts = {name: files(__name__).joinpath(name).read_text(encoding="utf-8") for name in names}
        return next(text for text in texts.values() if f"contract {self.name} " in text)

    def _signature(self, function: str) -> str:
        found = [signature for signature in self.methods if signature.partition("(")[0] == function]
        if len(found) != 1:
            known = ", ".join(sorted({signature.partition("(")[0] for signature in self.methods}))
            raise ArgumentError("function", repr(function), f"one of {self.name}'s: {known}")
        return found[0]


def names() -> tuple[str, ...]:
    """Names of the contracts, in alphabetical order."""
    return tuple(sorted(manifest()["contracts"]))


@functools.cache
def get(name: str) -> Contract:
    """A contract by its name.

    Raises:
        ArgumentError: no contract has this name.
    """
    if name not in names():
        raise ArgumentError("name", repr(name), f"one of {', '.join(names())}")
    data = files(__name__).joinpath(COMPILED, f"{name}.json").read_bytes()
    if hashlib.sha256(data).hexdigest() != manifest()["contracts"][name]["sha256"]:
        raise SupervmError(f"contracts/{COMPILED}/{name}.json is not what {MANIFEST} says; install again")
    found = json.loads(data)
    return Contract(
        name,
        found["abi"],
        {signature: bytes.fromhex(digits[2:]) for signature, digits in found["methods"].items()},
        found["storage"],
        found["immutables"],
        bytes.fromhex(found["creation"][2:]),
        bytes.fromhex(found["runtime"][2:]),
    )


@functools.cache
def manifest() -> dict[str, Any]:
    """What was compiled from what, by which compiler."""
    found: dict[str, Any] = json.loads(files(__name__).joinpath(MANIFEST).read_text(encoding="utf-8"))
    return found
