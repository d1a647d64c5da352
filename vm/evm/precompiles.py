# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethereum's precompiled contracts: one row each, with where it is, since when, and by which EIPs it is priced.

What they compute, and the numbers of their prices, are the engine's (`supervm.engine.ethereum.precompiles`): the machine has
the address of a C function that calls them by number. Which of them there are in a fork says `forks.PRECOMPILES`, a bit for
each number.
"""

from __future__ import annotations

from typing import NamedTuple

from supervm.vm.evm.forks import P256_ADDRESS, P256_NUMBER


class Precompile(NamedTuple):
    """A precompiled contract.

    | field | meaning |
    |---|---|
    | `number` | bit of `forks.PRECOMPILES`, and what the machine's function takes |
    | `address` | as a number |
    | `name` | of the function in `supervm.crypto.precompiles` or `supervm.crypto.precompile_code` |
    | `since` | the first fork that has it |
    | `prices` | (fork, by what it is priced from there on) |
    """

    number: int
    address: int
    name: str
    since: str
    prices: tuple[tuple[str, str], ...]


def _row(address: int, name: str, *prices: tuple[str, str]) -> Precompile:
    number = P256_NUMBER if address == P256_ADDRESS else address
    return Precompile(number, address, name, prices[0][0], prices)


_YELLOW_PAPER = ("Frontier", "Yellow Paper, appendix E.1")
_BN254 = (("Byzantium", "EIP-196"), ("Istanbul", "EIP-1108"))
_BLS12_381 = ("Prague", "EIP-2537")

PRECOMPILES = (
    _row(0x01, "ecrecover", _YELLOW_PAPER),
    _row(0x02, "sha256", _YELLOW_PAPER),
    _row(0x03, "ripemd160", _YELLOW_PAPER),
    _row(0x04, "identity", _YELLOW_PAPER),
    _row(0x05, "modexp", ("Byzantium", "EIP-198"), ("Berlin", "EIP-2565"), ("Osaka", "EIP-7883")),
    _row(0x06, "bn254_add", *_BN254),
    _row(0x07, "bn254_mul", *_BN254),
    _row(0x08, "bn254_pairing_check", ("Byzantium", "EIP-197"), ("Istanbul", "EIP-1108")),
    _row(0x09, "blake2f", ("Istanbul", "EIP-152")),
    _row(0x0A, "point_evaluation", ("Cancun", "EIP-4844")),
    _row(0x0B, "bls12_g1add", _BLS12_381),
    _row(0x0C, "bls12_g1msm", _BLS12_381),
    _row(0x0D, "bls12_g2add", _BLS12_381),
    _row(0x0E, "bls12_g2msm", _BLS12_381),
    _row(0x0F, "bls12_pairing_check", _BLS12_381),
    _row(0x10, "bls12_map_fp_to_g1", _BLS12_381),
    _row(0x11, "bls12_map_fp2_to_g2", _BLS12_381),
    _row(P256_ADDRESS, "p256_verify", ("Osaka", "EIP-7951")),
)
"""By address. From Osaka on `modexp` also has the limits of EIP-7823."""

NUMBERS = {row.name: row.number for row in PRECOMPILES}
"""Number by name."""
