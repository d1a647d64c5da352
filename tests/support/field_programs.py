# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields that the CUDA arithmetic is tested for, their inputs, and what Python integers say of them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from supervm.crypto.params import curve25519, secp256k1
from supervm.kernels.cuda.constants.fields import WORD, fold_params, montgomery_params
from supervm.kernels.cuda.runtime.device import Program
from supervm.kernels.spec import FieldSpec

Words = npt.NDArray[np.uint32]

EXTREMES = [0, 1, 2, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF]
"""Words whose sums and products carry, or just do not."""

# EIP-196 and EIP-2537: base fields of the curves of Ethereum's pairing precompiles.
BN254_FP = FieldSpec("bn254.fp", 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47)
BLS12_381_FP = FieldSpec(
    "bls12_381.fp",
    0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB,
)


@dataclass(frozen=True)
class FieldProgram:
    """One field as a specialisation of `src/field_check.cu`.

    Args:
        spec: the field.
        folds: reduced by folding; else held in Montgomery form.
    """

    spec: FieldSpec
    folds: bool

    @property
    def name(self) -> str:
        """How tests and records call it."""
        return self.spec.name

    @property
    def modulus(self) -> int:
        """The prime."""
        return self.spec.modulus

    @property
    def words(self) -> int:
        """32-bit words of an element; even."""
        return -(-self.spec.bits // (2 * WORD)) * 2

    @property
    def radix(self) -> int:
        """2^(32·words): inputs are any numbers below it."""
        return 1 << WORD * self.words

    @cached_property
    def program(self) -> Program:
        """The source with `Params` and `Field` defined."""
        make, form = (fold_params, "FoldField") if self.folds else (montgomery_params, "MontgomeryField")
        return Program("field_check", make(self.spec, "Params") + f"using Field = {form}<Params>;\n")

    @cached_property
    def edges(self) -> list[int]:
        """Values around the modulus and its multiples, the radix, word borders and carries that run far."""
        p, radix, ones = self.modulus, self.radix, (1 << WORD) - 1
        top, alternate = radix >> WORD, sum(ones << 2 * WORD * index for index in range(self.words // 2))
        values = [
            0,
            1,
            2,
            p - 1,
            p,
            p + 1,
            2 * p - 1,
            2 * p,
            2 * p + 1,
            radix - 1,
            radix - 2,
            radix - p,
            radix % p,
        ]
        values += [
            (p - 1) // 2,
            (p + 1) // 2,
            radix // p * p,
            radix // p * p - 1,
            radix - ones,
            radix - ones - 1,
        ]
        values += [alternate, alternate << WORD, radix - top, top, top - 1, ones, ones + 1, ones << WORD]
        values += [1 << WORD * index for index in range(1, self.words)]
        values += [1 << WORD * index - 1 for index in range(1, self.words + 1)]
        values += [radix - 1 - (ones << WORD * index) for index in range(self.words)]
        return list(dict.fromkeys(value for value in values if 0 <= value < radix))

    def pack(self, values: Sequence[int]) -> Words:
        """(n, words): one row per value."""
        size = 4 * self.words
        joined = b"".join(value.to_bytes(size, "little") for value in values)
        return np.frombuffer(joined, "<u4").reshape(-1, self.words).astype(np.uint32)

    def unpack(self, rows: Words) -> list[int]:
        """The values of such rows."""
        return [int.from_bytes(row.astype("<u4").tobytes(), "little") for row in rows]

    def pairs(self, edges: int, randoms: int, seed: int = 1) -> tuple[list[int], list[int]]:
        """Every pair of the first `edges` edge values, and seeded random pairs.

        Every other random pair has extreme words alone: a carry that only a word such as 2^32 − 1 hands on is rarer than
        tests are long.
        """
        generator = random.Random(f"{self.name} {seed}")
        some = self.edges[:edges]
        found = [(a, b) for a in some for b in some]

        def extreme() -> int:
            return sum(generator.choice(EXTREMES) << WORD * index for index in range(self.words))

        for index in range(randoms):
            make = extreme if index % 2 else partial(generator.randrange, self.radix)
            found.append((make(), make()))
        return [a for a, _ in found], [b for _, b in found]


FIELDS = [
    FieldProgram(curve25519.FP, folds=True),
    FieldProgram(curve25519.FL, folds=False),
    FieldProgram(secp256k1.FP, folds=True),
    FieldProgram(secp256k1.FN, folds=False),
    FieldProgram(BN254_FP, folds=False),
    FieldProgram(BLS12_381_FP, folds=False),
]

OPERATIONS: dict[str, Callable[[int, int, int], int]] = {
    "multiply": lambda a, b, p: a * b % p,
    "square": lambda a, b, p: a * a % p,
    "add": lambda a, b, p: (a + b) % p,
    "subtract": lambda a, b, p: (a - b) % p,
    "inverse": lambda a, b, p: pow(a, p - 2, p),
}
"""Kernels `field_NAME` that return one canonical element an item, and what it must be."""


def bare_product(field: FieldProgram, a: int, b: int) -> int:
    """What `field_product` gives modulo p: a·b, divided by the radix in Montgomery form."""
    return a * b * (1 if field.folds else pow(field.radix, -1, field.modulus)) % field.modulus


def only(text: str, *kernels: str) -> str:
    """A flattened source with no other kernels than these: what is left compiles in a tenth of the time."""

    def keep(match: re.Match[str]) -> str:
        return match[0] if match[1] in kernels else ""

    return re.sub(r"^KERNEL\((\w+),.*?^}\n", keep, text, flags=re.MULTILINE | re.DOTALL)
