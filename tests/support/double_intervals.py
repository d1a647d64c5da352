# SPDX-License-Identifier: GPL-3.0-or-later
"""An llvmlite builder for code on doubles, whose values are intervals of exact numbers.

A double is an interval of multiples of a power of two, so that it is known where an operation rounds. Rounding is refused,
with two exceptions: a sum with a constant of the form 3·2^k, which rounds to the ulp of one binade on purpose, and products
that estimate a quotient (`rough`), of which nothing may be made but such a sum.

A 64-bit word is an interval of integers, of which it holds the residue modulo 2^64: a column of raw bits is far above 2^64
until a constant brings it back. Bits of a double are a word in one positive binade only, where they are linear in it.

Run on the widest inputs that a contract allows it proves bounds; on single numbers it computes what the compiled code would.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, field
from typing import Any

from interval_builder import BoundError
from llvmlite import ir

MANTISSA = 53
WORD = 1 << 64
ZERO_GRAIN = 1000
"""Zero is a multiple of everything."""

I64X4 = ir.VectorType(ir.IntType(64), 4)
F64X4 = ir.VectorType(ir.DoubleType(), 4)


@dataclass(eq=False, slots=True)
class Rounding:
    """x rounded to a multiple of 2^unit; x is a value or the product of two, which `of` names.

    Attributes:
        rest: bounds of x − rounded x in multiples of 2^grain.
    """

    of: tuple[Any, ...]
    unit: int
    rest: tuple[int, int]
    grain: int


@dataclass(eq=False, slots=True)
class Real:
    """A double: multiples of 2^grain from lo·2^grain to hi·2^grain.

    Attributes:
        rough: it may be rounded.
        part: (rounding, sign, offset) where it is sign · the rounded number + offset.
        residue: (a, b, unit) where it is a·b modulo 2^unit.
    """

    lo: int
    hi: int
    grain: int
    rough: bool = False
    part: tuple[Rounding, int, int] | None = None
    residue: tuple[Any, Any, int] | None = None
    type: ir.Type = F64X4

    def __post_init__(self) -> None:
        if self.lo == self.hi:
            zeros = (self.lo & -self.lo).bit_length() - 1
            self.grain = self.grain + zeros if self.lo else ZERO_GRAIN
            self.lo = self.hi = self.lo >> zeros if self.lo else 0

    def at(self, grain: int) -> tuple[int, int]:
        """The bounds in multiples of 2^grain, which divides all."""
        return self.lo << (self.grain - grain), self.hi << (self.grain - grain)

    @property
    def integers(self) -> tuple[int, int]:
        """The bounds of integers."""
        if self.grain < 0:
            raise BoundError("a double is no integer")
        return self.at(0)


@dataclass(eq=False, slots=True)
class Word:
    """64 bits: an integer from lo to hi modulo 2^64, a multiple of 2^zeros, or the bits of a double.

    Attributes:
        made: by arithmetic, so that its bits count: below 2^63 where it is shifted, and no part of it is dropped.
        shifts: the distances by which it has been shifted down.
    """

    lo: int = 0
    hi: int = 0
    zeros: int = 0
    made: bool = False
    real: Real | None = None
    shifts: set[int] = field(default_factory=set)
    type: ir.Type = I64X4


class DoublesBuilder:
    """An llvmlite builder. Values of one lane stand for every lane.

    Attributes:
        largest_products: by k, the largest magnitude of a product that was added to 3·2^k.
        largest_column: of a column that was carried, less the 2^62 that makes it positive.
    """

    def __init__(self) -> None:
        self.module, self.triple = self, "any processor"
        self.globals = self
        self.masked: list[tuple[Word, int]] = []
        self.largest_products: dict[int, int] = {}
        self.largest_column = 0

    def get(self, name: str) -> str:
        """The intrinsic `name`, as its name."""
        return name

    def lost(self) -> int:
        """Masked sums whose upper bits went nowhere."""
        return sum(bits not in word.shifts for word, bits in self.masked)

    def asm(self, signature: Any, text: str, constraints: str, values: list[Any], effect: bool) -> list[Any]:
        assert text == "", "only the empty instruction"
        return values

    def extract_value(self, values: list[Any], index: int) -> Any:
        return values[index]

    # Doubles ------------------------------------------------------------------------------------------------

    def fadd(self, a: Any, b: Any) -> Real:
        x, y = _real(a), _real(b)
        if isinstance(b, ir.Constant) and y.lo == 3:
            return self._rounded((a,), x, y)
        if (rest := _rest((a,), _whole(y), -1)) is not None:
            _whole(x)
            return rest
        return _exact(*_sum(_whole(x), y, 1), "sum")

    def fsub(self, a: Any, b: Any) -> Real:
        x, y = _whole(_real(a)), _whole(_real(b))
        if (rest := _rest((a,), y, 1)) is not None:
            return rest
        made = _exact(*_sum(x, y, -1), "difference")
        if isinstance(a, ir.Constant) and y.part:
            rounding, sign, offset = y.part
            made.part = rounding, -sign, x.integers[0] - offset
        elif isinstance(b, ir.Constant) and x.part:
            rounding, sign, offset = x.part
            made.part = rounding, sign, offset - y.integers[0]
        return made

    def fmul(self, a: Any, b: Any) -> Real:
        assert isinstance(b, ir.Constant)
        return _nearest(*_product(_real(a), _real(b)), rough=_real(a).rough)

    def call(self, name: str, args: list[Any]) -> Real:
        assert name == "llvm.fma.v4f64"
        a, b, c = args
        x, y, z = _whole(_real(a)), _whole(_real(b)), _whole(_real(c))
        product = Real(*_product(x, y))
        if isinstance(c, ir.Constant) and z.lo == 3:
            if product.grain >= 0:
                before = self.largest_products.get(z.grain, 0)
                self.largest_products[z.grain] = max(before, *map(abs, product.at(0)))
            return self._rounded((a, b), product, z)
        if (rest := _rest((a, b), z, -1)) is not None:
            return rest
        low, high, grain = _sum(product, z, 1)
        if (
            x.residue and isinstance(b, ir.Constant) and x.residue[0] is c
        ):  # x ≡ c·w, and w·y ≡ −1: it clears c
            _, w, unit = x.residue
            inverse = (
                isinstance(w, ir.Constant) and (_real(w).integers[0] * y.integers[0] + 1) % (1 << unit) == 0
            )
            if inverse and grain < unit:
                low, high, grain = -(-low >> (unit - grain)), high >> (unit - grain), unit
        return _nearest(low, high, grain)

    def _rounded(self, of: tuple[Any, ...], x: Real, centre: Real) -> Real:
        """x + 3·2^k, which rounds x to a multiple of the ulp of 2^(k+1) … 2^(k+2)."""
        k = centre.grain
        unit, grain = k + 2 - MANTISSA, min(x.grain, k)
        if max(map(abs, x.at(grain))) > 1 << (k - grain):
            raise BoundError(f"a sum with 3·2^{k} leaves its binade")
        if x.grain >= unit:
            (low, high), rest, grain = x.at(unit), (0, 0), unit
        else:
            step = unit - x.grain
            low, high, grain = _half_even(x.lo, step), _half_even(x.hi, step), x.grain
            half = 1 << (step - 1)
            rest = (x.lo - (low << step), x.hi - (low << step)) if low == high else (-half, half)
        middle = 3 << (k - unit)
        made = Real(low + middle, high + middle, unit)
        made.part = Rounding(of, unit, rest, grain), 1, 3 << k
        return made

    def bitcast(self, value: Any, to: ir.Type) -> Any:
        kind = to.element if isinstance(to, ir.VectorType) else to
        if isinstance(kind, ir.IntType):
            return Word(real=_whole(_real(value)))
        if isinstance(value, Word) and value.real:
            return value.real
        word = self._range(value, 0, WORD)
        exponent = word.lo >> 52
        if isinstance(value, ir.Constant):
            return real_of(value)
        if not 0 < exponent < 2047 or word.hi > (exponent + 1) << 52:
            raise BoundError(f"bits {word.lo:#x} … {word.hi:#x} are in no binade")
        base = (exponent - 1) << 52
        return Real(word.lo - base, word.hi - base, exponent - 1075)

    # Words --------------------------------------------------------------------------------------------------

    def _range(self, value: Any, least: int, limit: int) -> Word:
        """The word as an integer from `least` to below `limit`."""
        word = _word(value)
        turns = (word.lo - least) >> 64 << 64
        if word.hi - turns >= limit:
            raise BoundError(f"a word from {word.lo - turns:#x} to {word.hi - turns:#x}, below {limit:#x}")
        return Word(word.lo - turns, word.hi - turns, word.zeros)

    def _cut(self, value: Any) -> Word:
        """The 64 bits that are there."""
        word = _word(value)
        if word.lo >> 64 == word.hi >> 64:
            return Word(word.lo % WORD, word.hi % WORD, word.zeros)
        return Word(0, WORD - (1 << word.zeros), word.zeros)

    def add(self, a: Any, b: Any) -> Word:
        x, y = _word(a), _word(b)
        return Word(x.lo + y.lo, x.hi + y.hi, min(x.zeros, y.zeros), True)

    def sub(self, a: Any, b: Any) -> Word:
        x, y = _word(a), _word(b)
        return Word(x.lo - y.hi, x.hi - y.lo, min(x.zeros, y.zeros), True)

    def mul(self, a: Any, b: Any) -> Word:
        x, y = _word(a), _word(b)
        assert y.lo == y.hi, "factors are constants"
        return Word(x.lo * y.lo, x.hi * y.lo, x.zeros + y.zeros, True)

    def shl(self, a: Any, b: Any) -> Word:
        x, count = _word(a), _word(b).lo
        return Word(x.lo << count, x.hi << count, x.zeros + count, x.made)

    def lshr(self, a: Any, b: Any) -> Word:
        word, count = _word(a), _word(b).lo
        x = self._range(word, 0, WORD >> 1 if word.made else WORD)
        if word.made and x.hi >> 62:
            self.largest_column = max(self.largest_column, abs(x.lo - (1 << 62)), abs(x.hi - (1 << 62)))
        word.shifts.add(count)
        return Word(x.lo >> count, x.hi >> count)

    def ashr(self, a: Any, b: Any) -> Word:
        word, count = _word(a), _word(b).lo
        x = self._range(word, -WORD >> 1, WORD >> 1)
        word.shifts.add(count)
        return Word(x.lo >> count, x.hi >> count)

    def and_(self, a: Any, b: Any) -> Word:
        word, mask = _word(a), _word(b).lo
        bits = mask.bit_length()
        assert mask == (1 << bits) - 1, "masks keep low bits"
        if word.made and (word.lo >> bits or word.hi >> bits):
            self.masked.append((word, bits))
        if word.lo >> bits == word.hi >> bits:
            return Word(word.lo & mask, word.hi & mask)
        return Word(0, mask)

    def or_(self, a: Any, b: Any) -> Word:
        x, y = self._cut(a), self._cut(b)
        if x.hi >> y.zeros and y.hi >> x.zeros and x.hi and y.hi:
            raise BoundError(f"bits overlap: up to {x.hi:#x} and {y.hi:#x}")
        return Word(x.lo + y.lo, x.hi + y.hi, min(x.zeros, y.zeros))

    def icmp_signed(self, predicate: str, a: Any, b: Any) -> bool | None:
        x, limit = self._range(a, -WORD >> 1, WORD >> 1), _word(b).lo
        assert predicate == "<"
        return True if x.hi < limit else False if x.lo >= limit else None

    def select(self, condition: bool | None, a: Word, b: Word) -> Word:
        if condition is None:
            return Word(min(a.lo, b.lo), max(a.hi, b.hi), min(a.zeros, b.zeros), True)
        return a if condition else b


# ---------------------------------------------------------------------------------------------------------
# Reading and rounding


def double(lo: int, hi: int | None = None) -> Word:
    """The bits of a double that is an integer from `lo` to `hi`."""
    return Word(real=Real(lo, lo if hi is None else hi, 0))


def real_of(word: Any) -> Real:
    """The double whose bits a word or a constant is."""
    if isinstance(word, ir.Constant):
        return _decoded(struct.unpack("<d", struct.pack("<Q", _constant(word)))[0])
    return word.real


@functools.cache
def _decoded(x: float) -> Real:
    above, below = x.as_integer_ratio()
    return Real(above, above, 1 - below.bit_length())


def _constant(value: ir.Constant) -> Any:
    return (value.constant[0] if isinstance(value.constant, list) else value).constant


def _real(value: Any) -> Real:
    return _decoded(_constant(value)) if isinstance(value, ir.Constant) else value


def _whole(x: Real) -> Real:
    if x.rough:
        raise BoundError("a rounded number is used as if it were exact")
    return x


def _word(value: Any) -> Word:
    if isinstance(value, ir.Constant):
        return _fixed(_constant(value))
    x = value.real
    if x is None:
        return value
    if x.lo <= 0:
        raise BoundError("bits of a double that may be negative are no number")
    k = x.lo.bit_length() - 1 + x.grain
    fine = k - MANTISSA + 1
    low, high = x.at(min(fine, x.grain))
    if x.grain < fine:
        raise BoundError("a double of more than 53 bits")
    if high > 2 << (MANTISSA - 1):
        raise BoundError("bits of doubles in more than one binade are not linear")
    base = (k + 1022) << 52
    return Word(low + base, high + base, 0, True)


@functools.cache
def _fixed(integer: int) -> Word:
    return Word(integer, integer, (integer & -integer).bit_length() - 1 if integer else 64)


def _sum(x: Real, y: Real, sign: int) -> tuple[int, int, int]:
    grain = min(x.grain, y.grain)
    (a, b), (c, d) = x.at(grain), y.at(grain)
    return (a + c, b + d, grain) if sign > 0 else (a - d, b - c, grain)


def _product(x: Real, y: Real) -> tuple[int, int, int]:
    ends = x.lo * y.lo, x.lo * y.hi, x.hi * y.lo, x.hi * y.hi
    return min(ends), max(ends), x.grain + y.grain


def _half_even(value: int, bits: int) -> int:
    """value / 2^bits, rounded to the nearest, a tie to even."""
    return (value + (1 << (bits - 1)) - 1 + (value >> bits & 1)) >> bits


def _exact(low: int, high: int, grain: int, what: str) -> Real:
    made = Real(low, high, grain)
    if max(-made.lo, made.hi) > 1 << MANTISSA:
        raise BoundError(f"{what} of more than {MANTISSA} bits: {low:#x} … {high:#x}, times 2^{grain}")
    return made


def _nearest(low: int, high: int, grain: int, rough: bool = False) -> Real:
    """The nearest doubles, which are `rough` unless they are always exact."""
    made = Real(low, high, grain, rough)
    excess = max(-made.lo, made.hi).bit_length() - MANTISSA
    if excess <= 0 or max(-made.lo, made.hi) == 1 << MANTISSA:
        return made
    ends = []
    for end in (made.lo, made.hi):
        over = max(abs(end).bit_length() - MANTISSA, 0)
        ends.append(_half_even(end, over) << over if over else end)
    return Real(*ends, made.grain, True)


def _rest(of: tuple[Any, ...], y: Real, sign: int) -> Real | None:
    """What is left of the number `of` where y takes off what it was rounded to, and adds an offset; None if y does not."""
    if not y.part or y.part[1] != sign:
        return None
    rounding, _, offset = y.part
    if len(of) != len(rounding.of) or any(a is not b for a, b in zip(of, rounding.of, strict=True)):
        return None
    grain = min(rounding.grain, 0)
    low, high = (end << (rounding.grain - grain) for end in rounding.rest)
    offset = -sign * offset << -grain
    made = _exact(low + offset, high + offset, grain, "rest")
    if len(of) == 2 and offset % (1 << (rounding.unit - grain)) == 0 and grain == 0:
        made.residue = (*of, rounding.unit)
    return made
