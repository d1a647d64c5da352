# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ethereum charges for its precompiled contracts: Yellow Paper, appendix E.1, and the EIPs that are named below.

A price is asked before anything is checked: whether the call fails says the function of the same name in
`supervm.crypto.precompiles`. It follows from the length of the input, but for `modexp` and `blake2f`, whose inputs say how
much there is to do.
"""

from __future__ import annotations

from typing import NamedTuple

from supervm.kernels.errors import ArgumentError

__all__ = ["gas", "modexp_gas"]

BN254_PAIR, BLS12_PAIR, BLS12_G1_TERM, BLS12_G2_TERM = 192, 384, 160, 288
"""Bytes of a pair of points, and of a point with its scalar."""

FIXED = {
    "ecrecover": 3000,
    "bn254_add": 150,
    "bn254_mul": 6000,
    "bls12_g1add": 375,
    "bls12_g2add": 600,
    "bls12_map_fp_to_g1": 5500,
    "bls12_map_fp2_to_g2": 23800,
    "point_evaluation": 50000,
    "p256_verify": 6900,
}
"""Yellow Paper, EIP-1108 (the prices of BN254), EIP-2537, EIP-4844, EIP-7951."""

PER_WORD = {"sha256": (60, 12), "ripemd160": (600, 120), "identity": (15, 3)}
"""Gas for the call, and for each 32 bytes that are begun: Yellow Paper."""

BLAKE2F_ROUND = 1
"""EIP-152: gas for each round."""


class _ModexpRule(NamedTuple):
    """How a modular power is priced: complexity · iterations / divisor, and `least` at the least.

    | field | meaning |
    |---|---|
    | `least` | gas |
    | `divisor` | of the product |
    | `long_byte` | iterations for each byte of the exponent beyond 32 |
    """

    least: int
    divisor: int
    long_byte: int


MODEXP_RULES = {
    "eip198": _ModexpRule(0, 20, 8),
    "eip2565": _ModexpRule(200, 3, 8),
    "eip7883": _ModexpRule(500, 1, 16),
}
"""Since Byzantium, since Berlin, since Osaka."""

PER_PAIR = {
    "bn254_pairing_check": (BN254_PAIR, 34000, 45000),
    "bls12_pairing_check": (BLS12_PAIR, 32600, 37700),
}
"""Bytes of a pair, gas for each, gas for the call: EIP-1108, EIP-2537."""

# EIP-2537, "G1 discounts" and "G2 discounts": thousandths of the price of one multiplication, for 1 to 128 of them; the last
# one is for all larger numbers.
G1_DISCOUNTS = (
    1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677, 673, 669, 665, 661, 658, 654, 651, 648,
    645, 642, 640, 637, 635, 632, 630, 627, 625, 623, 621, 619, 617, 615, 613, 611, 609, 608, 606, 604, 603, 601, 599, 598,
    596, 595, 593, 592, 591, 589, 588, 586, 585, 584, 582, 581, 580, 579, 577, 576, 575, 574, 573, 572, 570, 569, 568, 567,
    566, 565, 564, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 551, 550, 549, 548, 547, 547, 546, 545, 544,
    543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532, 532, 531, 530, 529, 528, 528, 527, 526, 525, 525,
    524, 523, 522, 522, 521, 520, 520, 519,
)  # fmt: skip
G2_DISCOUNTS = (
    1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717, 711, 704, 699, 693, 688, 683, 679, 674,
    670, 666, 663, 659, 655, 652, 649, 646, 643, 640, 637, 634, 632, 629, 627, 624, 622, 620, 618, 615, 613, 611, 609, 607,
    606, 604, 602, 600, 598, 597, 595, 593, 592, 590, 589, 587, 586, 584, 583, 582, 580, 579, 578, 576, 575, 574, 573, 571,
    570, 569, 568, 567, 566, 565, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 552, 551, 550, 549, 548, 547,
    546, 545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537, 537, 536, 535, 535, 534, 533, 532, 532, 531, 530, 530, 529,
    528, 528, 527, 526, 526, 525, 524, 524,
)  # fmt: skip

PER_TERM = {
    "bls12_g1msm": (BLS12_G1_TERM, 12000, G1_DISCOUNTS),
    "bls12_g2msm": (BLS12_G2_TERM, 22500, G2_DISCOUNTS),
}
"""Bytes of a point with its scalar, gas for one multiplication, discounts: EIP-2537."""


def gas(name: str, input: bytes) -> int:
    """The price of a call, by the newest rules (Osaka).

    Args:
        name: of a function of `supervm.crypto.precompiles`, or `ecrecover`, `sha256`, `identity`.
        input: what the contract is called with, of any length.

    Raises:
        ArgumentError: another name.

    >>> gas("bls12_g1msm", bytes(320))
    22776
    """
    if name in FIXED:
        return FIXED[name]
    if name in PER_PAIR:
        size, each, call = PER_PAIR[name]
        return len(input) // size * each + call
    if name in PER_TERM:
        size, each, discounts = PER_TERM[name]
        terms = len(input) // size
        return terms * each * discounts[min(terms, len(discounts)) - 1] // 1000
    if name in PER_WORD:
        call, each = PER_WORD[name]
        return call + each * (-(-len(input) // 32))
    if name == "modexp":
        return modexp_gas(input)
    if name == "blake2f":  # another length fails, whatever it costs
        return BLAKE2F_ROUND * int.from_bytes(input[:4], "big") if len(input) == 213 else 0
    known = (*FIXED, *PER_PAIR, *PER_TERM, *PER_WORD, "modexp", "blake2f")
    raise ArgumentError("name", repr(name), f"one of {', '.join(known)}")


def modexp_gas(input: bytes, rule: str = "eip7883") -> int:
    """The price of a modular power.

    Args:
        input: what the contract is called with, of any length.
        rule: of `MODEXP_RULES`.

    Raises:
        ArgumentError: another rule.

    >>> modexp_gas(bytes(96), "eip2565")
    200
    """
    if rule not in MODEXP_RULES:
        raise ArgumentError("rule", repr(rule), f"one of {', '.join(MODEXP_RULES)}")
    least, divisor, long_byte = MODEXP_RULES[rule]
    lengths = [int.from_bytes(input[at : at + 32].ljust(32, b"\0"), "big") for at in (0, 32, 64)]
    base_bytes, exponent_bytes, modulus_bytes = lengths
    head_bytes = min(32, exponent_bytes)
    head = int.from_bytes(input[96 + base_bytes :][:head_bytes].ljust(head_bytes, b"\0"), "big")
    iterations = max(0, head.bit_length() - 1) + long_byte * (exponent_bytes - head_bytes)
    longest = max(base_bytes, modulus_bytes)
    return max(least, _complexity(longest, rule) * max(iterations, 1) // divisor)


def _complexity(longest: int, rule: str) -> int:
    """Of a product of two numbers of so many bytes."""
    words = -(-longest // 8)
    if rule == "eip7883":
        return 2 * words**2 if longest > 32 else 16
    if rule == "eip2565":
        return words**2
    if longest <= 64:
        return longest**2
    if longest <= 1024:
        return longest**2 // 4 + 96 * longest - 3072
    return longest**2 // 16 + 480 * longest - 199680
