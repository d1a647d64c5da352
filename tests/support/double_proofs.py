# SPDX-License-Identifier: GPL-3.0-or-later
"""Field code generators on doubles, written through `double_intervals`, and how large the numbers are that they make."""

from __future__ import annotations

import copy
import functools
import itertools
import random
from typing import Any

from double_intervals import DoublesBuilder, Real, Word, double, real_of

from supervm.kernels.cpu.fields.doubles import RADIX, Doubles, centred
from supervm.kernels.cpu.fields.element_type import generator
from supervm.kernels.cpu.fields.montgomery_doubles import MontgomeryDoubles
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import FMA_64X4
from supervm.kernels.spec import FieldSpec


class Proof:
    """A generator on the stand-in builder, and how large the numbers are that its limbs stand for.

    In Montgomery form a result's number follows from its factors' (`_product`) or from the estimate of a quotient
    (`_reduced`), and bounds the highest limb more closely than intervals do.

    Attributes:
        numbers: by the highest limb of a number, the magnitude that the number may have.
        expected: the magnitudes of what `_reduced` carries, the last first.
    """

    def __init__(self, spec: FieldSpec) -> None:
        self.code: Any = copy.copy(generator(spec, FMA_64X4.type))
        self.p = self.code.spec.modulus
        self.numbers: dict[Real, int] = {}
        self.expected: list[int] = []
        self.builder = DoublesBuilder()
        self.e = Emitter(self.builder, self.code.lanes)  # type: ignore[arg-type]
        if isinstance(self.code, MontgomeryDoubles):
            code = self.code
            code.total = functools.partial(self._total, code.total)
            code._carried = functools.partial(self._carried, code._carried)
            code._reduced = functools.partial(self._reduced, code._reduced)
            code._product = functools.partial(self._product, code._product)

    def element(self, number: int | None = None) -> list[Word]:
        """Any limbs within the contract; in Montgomery form of a number up to p, or up to `number`."""
        limbs = [double(-bound, bound) for bound in self.code.bounds]
        if isinstance(self.code, MontgomeryDoubles):
            number = self.p if number is None else number
            top = (number >> self.code.places[-1]) + 1
            limbs[-1] = double(-top, top)
            self.numbers[reals(limbs)[-1]] = number
        return limbs

    def number(self, limbs: list[Any]) -> int:
        """The magnitude that a number may have: what is known, or what its limbs allow."""
        parts = reals(limbs)
        if all(limb.lo == limb.hi for limb in parts):
            return abs(raw(self.code, parts))
        allowed = sum(size(limb) << place for limb, place in zip(parts, self.code.places, strict=True))
        return min(allowed, self.numbers.get(parts[-1], allowed))

    def settled(self, limbs: list[Any], number: int) -> list[Any]:
        """The same limbs with the highest within what `number` allows: an integer, and then exact if it is a product."""
        *lower, last = reals(limbs)
        below = sum(size(limb) << place for limb, place in zip(lower, self.code.places, strict=False))
        most = (number + below) >> self.code.places[-1]
        low, high = last.integers
        assert -most <= high
        assert low <= most < 1 << 53
        top = Real(max(low, -most), min(high, most), 0)
        self.numbers[top] = number
        return [*limbs[:-1], Word(real=top) if isinstance(limbs[-1], Word) else top]

    def _total(self, inner: Any, d: Doubles, terms: Any) -> Any:
        limbs = inner(d, terms)
        self.numbers[limbs[-1]] = sum(abs(coefficient) * self.number(term) for coefficient, term in terms)
        return limbs

    def _carried(self, inner: Any, d: Doubles, limbs: Any) -> Any:
        number = self.expected.pop() if self.expected else self.number(limbs)
        return self.settled(inner(d, self.settled(limbs, number)), number)

    def _reduced(self, inner: Any, d: Doubles, limbs: Any) -> Any:
        number = self.number(limbs)
        # The quotient is rounded; four operations on it err by 2^−53 each, and the lower limbs are left out.
        error = (number >> 50) + (1 << RADIX * (self.code.limbs - 2)) + 1
        assert error << 21 < self.p
        self.expected = [self.p // 2 + error, number]  # after the multiple of p, before it
        return self.settled(inner(d, limbs), self.p // 2 + error)

    def _product(self, inner: Any, e: Emitter, factors: Any) -> Any:
        return self.settled(
            inner(e, factors), self.reduced_sum(sum(self.number(a) * self.number(b) for a, b in factors))
        )

    def reduced_sum(self, number: int) -> int:
        """(number + m·p)/R for signed digits m."""
        digits = sum(1 << (RADIX * index + RADIX - 1) for index in range(self.code.limbs))
        return (number + digits * self.p) // self.code.r

    def check(self, limbs: list[Any]) -> None:
        """A result keeps the contract, and nothing was lost on the way."""
        for limb, bound in zip(reals(limbs), self.code.bounds, strict=True):
            assert size(limb) <= bound, f"a limb up to {size(limb):#x}, above {bound:#x}"
        if isinstance(self.code, MontgomeryDoubles):
            assert self.number(limbs) <= self.p
        assert self.builder.lost() == 0


def reals(limbs: list[Any]) -> list[Real]:
    return [limb if isinstance(limb, Real) else real_of(limb) for limb in limbs]


def size(limb: Real) -> int:
    return max(map(abs, limb.integers))


def unsigned(bits: int = 64) -> Word:
    """Any integer of some bits."""
    return Word(0, (1 << bits) - 1)


def raw(code: Any, limbs: list[Any]) -> int:
    """The number that limbs stand for."""
    assert all(limb.lo == limb.hi for limb in reals(limbs))
    return sum(limb.integers[0] << place for limb, place in zip(reals(limbs), code.places, strict=True))


def value(code: Any, limbs: list[Any]) -> int:
    """The same modulo p, out of Montgomery form."""
    scale = code.spec.inverse(code.r) if isinstance(code, MontgomeryDoubles) else 1
    return raw(code, limbs) * scale % code.spec.modulus


def extreme(code: Any) -> list[list[Word]]:
    """All signs of the largest limbs; in Montgomery form with the highest so that the number is within p."""
    bounds = list(code.bounds)
    if isinstance(code, MontgomeryDoubles):
        bounds[-1] = max(0, bounds[-1] - 2)
    signs = itertools.product((1, -1), repeat=code.limbs)
    return [[double(sign * bound) for sign, bound in zip(row, bounds, strict=True)] for row in signs]


def largest(code: Any) -> int:
    """The magnitude of numbers whose digits are limbs of elements."""
    return code.spec.modulus if isinstance(code, MontgomeryDoubles) else code.spec.modulus >> 1


def edges(code: Any) -> list[list[Word]]:
    p = largest(code)
    numbers = [0, 1, 2, p >> 1, (p >> 1) + 1, p - 1, p, (1 << 50) - 1, 1 << 50, 1 << 51, 1 << 101]
    found = [
        [double(digit) for digit in centred(sign * number, code.widths)]
        for number in numbers
        for sign in (1, -1)
    ]
    return found + extreme(code)


def chosen(code: Any, source: random.Random, known: list[list[Word]]) -> list[Word]:
    if source.randrange(3):
        return list(source.choice(known))
    most = largest(code)
    return [double(digit) for digit in centred(source.randint(-most, most), code.widths)]


def words_of(number: int, count: int) -> list[Word]:
    return [Word(word := number >> (64 * index) & (1 << 64) - 1, word) for index in range(count)]


def joined(words: list[Word], radix: int = 64) -> int:
    assert all(word.lo == word.hi for word in words)
    return sum(word.lo << (radix * index) for index, word in enumerate(words))
