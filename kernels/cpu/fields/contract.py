# SPDX-License-Identifier: GPL-3.0-or-later
"""What a field promises to the curves, hashes and transforms that stand on it, whatever the modulus and the lanes.

The names of limbs say how large they may be:

| name | limbs | value | who makes it |
|---|---|---|---|
| `Carried` | each an operand of the multiplier | below 2p; Montgomery in one lane: p; doubles: ±p | all but `lazy` |
| `Loose` | the same | not reduced: the caller answers for it | `lazy` |
| `Canonical` | unsigned integers | below p | `canonical` |
| `Words` | 64 bits each | any below 2^(64·words) into a field, below p out of it | memory |

A factor of a product may be `Carried`, or `Loose` where all products together stay below what one reduction takes (R·p in
Montgomery form). A term of a sum is `Carried`. Limbs that are doubles (`doubles`) travel as their bits, so that moving,
selecting and storing elements never asks what they are made of. `tests/kernels/fields/test_bounds.py` and
`test_bounds_of_doubles.py` run the generators on intervals and hold them to this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, TypeAlias

from llvmlite import ir

from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import LanesType

Limbs: TypeAlias = list[ir.Value]
"""Limbs of which nothing is promised; the least significant first, as all here."""

Carried: TypeAlias = list[ir.Value]
Loose: TypeAlias = list[ir.Value]
Canonical: TypeAlias = list[ir.Value]
Words: TypeAlias = list[ir.Value]

Terms: TypeAlias = list[tuple[int, Carried]]
"""A sum: small integer coefficients, in total below 2^8, and what they are of."""

Factors: TypeAlias = list[tuple[Loose, Loose]]
"""Pairs that are multiplied. The same list object twice is a square."""

Row: TypeAlias = tuple[list[tuple[int, int]], Terms]
"""A sum of products of its own: small integer coefficients and which product they are of, and terms beside them."""


class FieldCode(Protocol):
    """What writes a field's instructions.

    Attributes:
        spec: the field.
        lanes: those that it writes for.
        limbs: of an element.
        words: 64-bit words of a canonical value.
    """

    spec: Any
    lanes: LanesType
    limbs: int
    words: int

    def represent(self, value: Any) -> list[int]:
        """A constant as limbs, `Carried`."""

    def linear(self, e: Emitter, terms: Terms) -> Carried:
        """Σ coefficient · term."""

    def lazy(self, e: Emitter, terms: Terms, multiple: int) -> Loose:
        """Σ coefficient · term + multiple · p, for use as a factor. It must be neither negative nor above what a product
        takes; a field that reduces as cheaply as it carries returns it reduced."""

    def products(self, e: Emitter, factors: Factors, sums: list[tuple[int, Terms]]) -> list[Carried]:
        """With P the sum of the products of the pairs: coefficient · P + Σ terms, for each of `sums`.

        Positive coefficients are at most 8, a negative one is −1.
        """

    def canonical(self, e: Emitter, a: Carried) -> Canonical:
        """The representative below p, in the field's own form."""

    def canonical_words(self, e: Emitter, a: Carried) -> Words:
        """The representative below p, in the field's own form, as 64-bit words."""

    def packed(self, e: Emitter, a: Carried) -> Words:
        """Words that stand for an element in memory, in the field's own form and below 2p: no product is needed."""

    def unpacked(self, e: Emitter, words: Words) -> Carried:
        """The element that `packed` words stand for, or any below 2p in the field's own form."""

    def from_words(self, e: Emitter, words: Words) -> Carried:
        """An integer as an element, reduced."""

    def to_words(self, e: Emitter, a: Carried) -> Words:
        """The canonical integer."""


class PlainWords(ABC):
    """For code whose elements have no form of their own: words in memory are the canonical integer."""

    @abstractmethod
    def from_words(self, e: Emitter, words: Words) -> Carried:
        """An integer as an element, reduced."""

    @abstractmethod
    def to_words(self, e: Emitter, a: Carried) -> Words:
        """The canonical integer."""

    def canonical_words(self, e: Emitter, a: Carried) -> Words:
        """As `to_words`, since there is no form of its own."""
        return self.to_words(e, a)

    def packed(self, e: Emitter, a: Carried) -> Words:
        """As `to_words`."""
        return self.to_words(e, a)

    def unpacked(self, e: Emitter, words: Words) -> Carried:
        """As `from_words`."""
        return self.from_words(e, words)
