# SPDX-License-Identifier: GPL-3.0-or-later
"""Keccak-256 as a C function that the EVM's compiled code calls by its address."""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import cfunc, types

from supervm.crypto.params.hashes import KECCAK256
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.cpu.hashes.one_message import hash_one
from supervm.kernels.cpu.lanes.lanes import LANES_64

_KERNEL = HashKernel(KECCAK256, LANES_64)
_SIGNATURE = types.void(types.int64, types.int64, types.int64)


def _keccak256(data: Any, size: Any, out: Any) -> None:
    hash_one(_KERNEL, data, size, out)


@cache
def _compiled() -> Any:
    return cfunc(_SIGNATURE, cache=True)(_keccak256)


def keccak256_address() -> int:
    """The address of `(data, bytes, out)`, three int64: it writes the 32 bytes of the digest to `out`."""
    return int(_compiled().address)
