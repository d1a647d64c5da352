# SPDX-License-Identifier: GPL-3.0-or-later
"""Exponents that inverses and square roots need, and addition chains for them, over runs of ones.

An exponent is read as runs of ones; for each run length r the chain holds a^(2^r − 1), built by doubling run lengths.
For 2^255 − 21, say, that takes 254 squarings and 14 products. The chain is data, rows of four numbers.
"""

from __future__ import annotations

from supervm.kernels.spec import FieldSpec

SLOTS = 16
"""Stored powers a chain may need at once; slot 0 is the element itself."""


EXPONENTS = ("inverse", "root", "inverse_root")


INVERSE, ROOT, INVERSE_ROOT = range(3)


def exponent(spec: FieldSpec, name: str) -> int:
    """inverse: p − 2. root: (p + 1)/4 where p ≡ 3 mod 4, a square root; else (p − 5)/8, from which RFC 8032,
    section 5.1.3, makes one where p ≡ 5 mod 8. inverse_root: (p − 3)/4, the inverse of a root up to its sign where
    p ≡ 3 mod 4.
    """
    p = spec.modulus
    if name == "inverse":
        return p - 2
    if name == "inverse_root":
        return (p - 3) // 4
    return (p + 1) // 4 if p % 4 == 3 else (p - 5) // 8


def addition_chain(value: int) -> list[tuple[int, int, int, int]]:
    """Rows (start, squarings, factor, keep): load slot `start` (−1: go on), square, multiply by slot, keep in slot."""
    runs = [len(run) for run in bin(value)[2:].split("0") if run]
    slots = {1: 0}
    rows: list[tuple[int, int, int, int]] = []

    def build(length: int) -> None:
        if length in slots:
            return
        largest = max(known for known in slots if known < length)
        other = largest if 2 * largest <= length else length - largest
        if length not in (largest + other, 2 * largest):
            build(length // 2)
            largest, other = length - length // 2, length // 2
            build(largest)
        build(other)
        slots[length] = len(slots)
        rows.append((slots[largest], other, slots[other], slots[length]))

    for length in sorted(set(runs)):
        build(length)
    text = bin(value)[2:]
    position = len(text) - len(text.lstrip("1"))
    rows.append((slots[position], 0, -1, -1))
    while position < len(text):
        rest = text[position:]
        zeros = len(rest) - len(rest.lstrip("0"))
        ones = len(rest) - zeros - len(rest[zeros:].lstrip("1"))
        rows.append((-1, zeros + ones, slots[ones] if ones else -1, -1))
        position += zeros + ones
    if len(slots) > SLOTS:
        raise ValueError(f"the chain of {value:#x} needs {len(slots)} slots")
    return rows
