# SPDX-License-Identifier: GPL-3.0-or-later
"""Contracts in WebAssembly's text format."""

from __future__ import annotations

import re

import wasmtime

from supervm.vm.errors import ContractRejected

_PLACE = re.compile(r"<anon>:(\d+):(\d+)")


def to_binary(text: str) -> bytes:
    """The module that a text describes.

    Raises:
        ContractRejected: the text is no module; rule `text`.
    """
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as error:
        said = str(error)
        place = _PLACE.search(said)
        found = said.partition("\n")[0] + (f" in line {place[1]}, column {place[2]}" if place else "")
        raise ContractRejected("text", found, "a module in WebAssembly's text format") from None
