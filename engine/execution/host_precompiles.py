# SPDX-License-Identifier: GPL-3.0-or-later
"""The host functions of `crypto_api` that are Ethereum's precompiled contracts of curves (`docs/execution-rules.md`).

Each is `name(in_ptr, in_len, out_ptr)`: what the function of the same name in `supervm.crypto.precompiles` makes of an area
of the guest's memory is written behind `out_ptr`, and the answer is 0; −1, with nothing written, where the EIP fails the
call. Traps as `sha256` does; the price follows from `in_len` alone and is paid in any case. The point evaluation needs no
setup: the secret of Ethereum's ceremony is a constant (`supervm.crypto.params.kzg`), the same on every node.
"""

from __future__ import annotations

import ctypes
from typing import Any

from numba import njit

from supervm.crypto import precompiles
from supervm.engine.host_callbacks import callback
from supervm.kernels.cpu.lanes.addresses import call_address
from supervm.kernels.cpu.state.access_set import get
from supervm.kernels.errors import ArgumentError
from supervm.vm import context
from supervm.vm.gas import PRICES
from supervm.vm.guest import HostCode, argument, at, host_function, opening, told
from supervm.vm.interface import PRECOMPILES

BACKEND = "scalar"

OPERATIONS = (
    *(f"bn254.{each}" for each in ("g1.decode", "g1.add", "g1.multiply", "g2.decode")),
    *(
        f"bls12_381.{group}.{each}"
        for group in ("g1", "g2")
        for each in ("decode", "add", "multiply", "map", "msm")
    ),
    *(
        f"{curve}.pairing.{each}"
        for curve in ("bn254", "bls12_381")
        for each in ("miller_loop", "final_exponentiation")
    ),
    "sha256",
)
"""What they compute with, on that backend."""

ALL = 1 << 32
"""Bytes that are read of an input of any length."""

SIZES = {
    "bn254_add": (128, 64),
    "bn254_mul": (96, 64),
    "bn254_pairing_check": (ALL, 32),
    "bls12_g1add": (256 + 1, 128),
    "bls12_g1msm": (ALL, 128),
    "bls12_g2add": (512 + 1, 256),
    "bls12_g2msm": (ALL, 256),
    "bls12_pairing_check": (ALL, 32),
    "bls12_map_fp_to_g1": (64 + 1, 128),
    "bls12_map_fp2_to_g2": (128 + 1, 256),
    "point_evaluation": (192 + 1, 64),
}
"""By name: bytes of an input that are read at most, and bytes of the output. A longer input is not copied for a fixed price:
what is behind these bytes is ignored in BN254, and elsewhere one byte too many is as wrong as a million."""


@njit(cache=True)
def _run(worker: Any, arguments: Any, number: Any, price: Any, unit: Any, sizes: Any) -> Any:
    """Call a precompiled contract; what the host function returns.

    Args:
        number: its place in `PRECOMPILES`.
        price: of the call, and of each unit of the input.
        unit: bytes of one.
        sizes: as in `SIZES`.
    """
    pointer, length, out = argument(arguments, 0), argument(arguments, 1), argument(arguments, 2)
    refusal = opening(worker, price[0] + price[1] * (length // unit), pointer, length, out, sizes[1])
    if refusal:
        return refusal
    call, read = get(worker, context.CALL_PRECOMPILE), min(length, sizes[0])
    return told(
        worker, arguments, call_address(call, worker, number, at(worker, pointer), read, at(worker, out))
    )


def _host_function(number: int, name: str) -> HostCode:
    price, sizes = PRICES[name], SIZES[name]
    paid, unit = (price.base, price.each), price.unit

    @host_function
    def called(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
        return _run(worker, arguments, number, paid, unit, sizes)

    return called


FUNCTIONS = {name: _host_function(number, name) for number, name in enumerate(PRECOMPILES)}
"""By name, as `supervm.vm.worker.Worker` takes them."""


@callback
def call_precompile(number: int, data: int, length: int, out: int) -> int:
    """Write what a precompiled contract makes of bytes at an address; 0, or −1 where the call fails."""
    function = getattr(precompiles, PRECOMPILES[number])
    try:
        made = function(ctypes.string_at(data, length), backend=BACKEND)
    except ArgumentError as error:
        if error.argument != "input":  # not the guest's fault
            raise
        return -1
    ctypes.memmove(out, made, len(made))
    return 0
