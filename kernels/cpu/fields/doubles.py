# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact products of integers that are held as doubles, by fused multiply-adds (FMA), for lanes without AVX-512 IFMA.

A limb is a signed integer, held as a double whose bits travel in 64-bit lanes. Rounding is to nearest, ulp(x) is the
distance of doubles around x. For |a·b| ≤ 2^102, with C = 3·2^102 and ulp(C) = 2^51,

    h = fma(a, b, C)                          = C + 2^51·H,  H = a·b / 2^51 rounded,
    l = fma(a, b, (C + 3·2^51) − h)           = 3·2^51 + L,  L = a·b − 2^51·H, |L| ≤ 2^50.

Both are exact: h lies in [2^103, 2^104], C + 3·2^51 − h is a multiple of 2^51 below 2^104, and l lies in [2^52, 2^53] where
doubles are the integers. In these ranges the bits of a double grow by one with each ulp, so that bits(h) − bits(C) = H and
bits(l) − bits(3·2^51) = L. A column is thus a sum of raw bits modulo 2^64, less a constant that is known when the code is
written (`Column.excess`).

The splitting of a product of doubles is Dekker's (Numerische Mathematik 18, 1971); that two FMAs give both halves in their
mantissas was published for GPUs by Emmart and Zheng (ARITH 2018).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from llvmlite import ir

from supervm.kernels.cpu.fields.contract import Limbs, Terms
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import LanesType, call_llvm, is_arm, vector
from supervm.kernels.spec import FieldSpec

RADIX = 51

SPAN = 62
"""Columns are below 2^SPAN in magnitude when they are carried, so that a carry is below 2^(SPAN − 51) + 1."""

F64 = ir.DoubleType()
WORD = (1 << 64) - 1

HIGH = 3.0 * 2**102
LOW = 3.0 * 2**51
HIGH_WIDE = 3.0 * 2**103
"""As HIGH for |a·b| ≤ 2^103: ulp 2^52."""


def bits_of(x: float) -> int:
    """The bits of a double."""
    return int(struct.unpack("<Q", struct.pack("<d", float(x)))[0])


def centred(value: int, widths: Sequence[int]) -> list[int]:
    """Signed digits, each of `width` bits between −2^(width−1) and 2^(width−1) − 1; the last takes what is left."""
    digits = []
    for width in widths[:-1]:
        digit = value & ((1 << width) - 1)
        digit -= (digit >> (width - 1)) << width
        digits.append(digit)
        value = (value - digit) >> width
    return [*digits, value]


class Doubles:
    """Writes instructions on doubles at an emitter's position; values are doubles unless a name says bits."""

    def __init__(self, e: Emitter) -> None:
        self.e, self.builder = e, e.builder
        self.width = e.lanes.width
        self.type = vector(F64, self.width)

    def constant(self, x: float) -> ir.Constant:
        """`x` in every lane."""
        single = ir.Constant(F64, float(x))
        return single if self.width == 1 else ir.Constant(self.type, [single] * self.width)

    def real(self, bits: ir.Value) -> ir.Value:
        """Bits as the double that they are."""
        return self.builder.bitcast(bits, self.type)

    def bits(self, x: ir.Value) -> ir.Value:
        """The bits of a double."""
        return self.builder.bitcast(x, self.e.lanes.llvm)

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a·b + c, rounded once."""
        return call_llvm(self.builder, f"llvm.fma.v{self.width}f64", self.type, [a, b, c])

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """a + b."""
        return self.builder.fadd(a, b)

    def sub(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """a − b."""
        return self.builder.fsub(a, b)

    def scale(self, a: ir.Value, factor: float) -> ir.Value:
        """a times a constant."""
        return self.builder.fmul(a, self.constant(factor))

    def rounded(self, a: ir.Value, centre: float) -> ir.Value:
        """a rounded to a multiple of ulp(centre); the centre is 3·2^k, above 4·|a|."""
        return self.sub(self.add(a, self.constant(centre)), self.constant(centre))

    def from_unsigned(self, integer: ir.Value, offset: int = 0) -> ir.Value:
        """An integer below 2^52 as a double, less `offset`."""
        raised = self.builder.or_(integer, self.e.constant(bits_of(2.0**52)))
        return self.sub(self.real(raised), self.constant(2.0**52 + offset))

    def kept_in_order(self, values: Limbs) -> Limbs:
        """The values, all of which LLVM must have made before it goes on with any.

        An empty instruction that takes and gives them all: without it LLVM mixes the rows of a product and spills.
        """
        if self.e.lanes.width > 4:
            return values  # 32 registers
        kinds = [value.type for value in values]
        register = "w" if is_arm(self.builder) else "v"  # any vector register of NEON, of AVX
        ties = ",".join([f"={register}"] * len(values) + [str(index) for index in range(len(values))])
        signature = ir.FunctionType(ir.LiteralStructType(kinds), kinds)
        together = self.builder.asm(signature, "", ties, values, False)
        return [self.builder.extract_value(together, index) for index in range(len(values))]


class Column:
    """A sum of bit patterns and of integers: its true value is `raw` − `excess` modulo 2^64, and signed."""

    def __init__(self, e: Emitter) -> None:
        self.e = e
        self.raw: ir.Value | None = None
        self.excess = 0

    def add(self, bits: ir.Value, excess: int, times: int = 1) -> None:
        """Add `times` (bits − excess); `times` is not 0."""
        scaled = self.e.scale(bits, abs(times))
        if times > 0:
            self.raw = scaled if self.raw is None else self.e.add(self.raw, scaled)
        else:
            self.raw = self.e.sub(self.e.constant(0) if self.raw is None else self.raw, scaled)
        self.excess += times * excess

    def plus(self, bias: int) -> ir.Value:
        """The true value + bias, as bits."""
        raw = self.e.constant(0) if self.raw is None else self.raw
        return self.e.add(raw, self.e.constant((bias - self.excess) & WORD))

    def times(self, factor: int) -> Column:
        """Another column, this one times a small factor other than 0."""
        made = Column(self.e)
        if self.raw is not None:
            made.add(self.raw, self.excess, factor)
        return made


class DoublesField:
    """What the generators of all moduli share.

    Attributes:
        widths: bits of each limb's place; the last limb takes what is left.
    """

    words: int
    limbs: int
    widths: Sequence[int]

    def __init__(self, spec: FieldSpec, lanes: LanesType) -> None:
        self.spec = spec
        self.lanes = lanes
        self.words = -(-spec.bits // 64)

    @property
    def places(self) -> list[int]:
        """The bit at which each limb begins."""
        return [sum(self.widths[:index]) for index in range(self.limbs)]

    def nearest_zero(self, value: int) -> int:
        """The representative between −p/2 and p/2."""
        value %= self.spec.modulus
        return value - self.spec.modulus if value > self.spec.modulus // 2 else value

    def standing(self, value: int) -> list[int]:
        """The limbs of an element that is `value` in this field's own form, between −p/2 and p/2."""
        return [bits_of(digit) for digit in centred(self.nearest_zero(value), self.widths)]

    # Products into columns --------------------------------------------------------------------------------

    def split_product(
        self, d: Doubles, low: Column, high: Column, a: ir.Value, b: ir.Value, doubled: bool = False
    ) -> None:
        """a·b, or 2·a·b, for |a·b| ≤ 2^102: low in units of 1, high in units of 2^51."""
        h = d.fma(a, b, d.constant(HIGH))
        rest = d.fma(a, b, d.sub(d.constant(HIGH + LOW), h))
        times = 2 if doubled else 1
        low.add(d.bits(rest), bits_of(LOW), times)
        high.add(d.bits(h), bits_of(HIGH), times)

    def split_wide(self, d: Doubles, low: Column, high: Column, a: ir.Value, b: ir.Value) -> None:
        """a·b for |a·b| ≤ 2^103: high in units of 2^52. HIGH_WIDE + LOW is no double, which costs an addition."""
        h = d.fma(a, b, d.constant(HIGH_WIDE))
        rest = d.add(d.fma(a, b, d.sub(d.constant(HIGH_WIDE), h)), d.constant(LOW))
        low.add(d.bits(rest), bits_of(LOW))
        high.add(d.bits(h), bits_of(HIGH_WIDE))

    def add_row(
        self, d: Doubles, columns: list[Column], row: Limbs, other: Limbs, i: int, square: bool
    ) -> None:
        """Add limb i of `row` times `other`; of a square what earlier rows left out, with that limb doubled in its place."""
        for j in range(i if square else 0, self.limbs):
            if square and j == i + 1:
                row[i] = d.add(row[i], row[i])
            self.split_product(d, columns[i + j], columns[i + j + 1], row[i], other[j])

    def ordered(self, d: Doubles, columns: list[Column], row: Limbs, index: int) -> None:
        """After row `index` of a product: all columns so far, and the row's next limb, before what follows."""
        live = [column for column in columns if column.raw is not None]
        follow = row[index + 1 : index + 2]
        kept = d.kept_in_order([*(column.raw for column in live), *follow])
        for column, value in zip(live, kept, strict=False):
            column.raw = value
        row[index + 1 : index + 2] = kept[len(live) :]

    # Columns into limbs -----------------------------------------------------------------------------------

    def carried_columns(
        self, e: Emitter, columns: list[Column], widths: Sequence[int]
    ) -> tuple[list[Column], ir.Value]:
        """Columns below 2^SPAN as columns of a limb each, and the carry out + 2^(SPAN − last width).

        All carries at once: a chain of them would fill the scheduler with instructions that wait, and limbs have room for
        one carry.
        """
        raised = [
            column.plus((1 << SPAN) + (1 << (width - 1)))
            for column, width in zip(columns, widths, strict=True)
        ]
        carries = [e.shr(value, width) for value, width in zip(raised, widths, strict=True)]
        limbs = []
        for index, (value, width) in enumerate(zip(raised, widths, strict=True)):
            limb = Column(e)
            limb.add(e.mask(value, width), 1 << (width - 1))
            if index:
                limb.add(carries[index - 1], 1 << (SPAN - widths[index - 1]))
            limbs.append(limb)
        return limbs, carries[-1]

    def limb_of(self, d: Doubles, column: Column) -> ir.Value:
        """A column whose raw value is below 2^52 as a double."""
        return d.from_unsigned(column.raw, column.excess)

    def add_terms(self, d: Doubles, columns: list[Column], terms: Terms) -> None:
        """Add Σ coefficient · term, of limbs up to 2^51."""
        for coefficient, term in terms:
            for column, limb in zip(columns, term, strict=True):
                column.add(d.bits(d.add(d.real(limb), d.constant(LOW))), bits_of(LOW), coefficient)

    # Sums of doubles --------------------------------------------------------------------------------------

    def total(self, d: Doubles, terms: Terms) -> Limbs:
        """Σ coefficient · term as doubles, not carried; each limb of the sum is below 2^53 in magnitude.

        Raises:
            ValueError: no terms.
        """
        result: Limbs | None = None
        for coefficient, term in terms:
            limbs = [d.real(limb) for limb in term]
            if result is None:
                result = limbs if coefficient == 1 else [d.scale(limb, coefficient) for limb in limbs]
            elif abs(coefficient) == 1:
                step = d.add if coefficient == 1 else d.sub
                result = [step(x, y) for x, y in zip(result, limbs, strict=True)]
            else:
                factor = d.constant(coefficient)
                result = [d.fma(y, factor, x) for x, y in zip(result, limbs, strict=True)]
        if result is None:
            raise ValueError("a sum needs at least one term")
        return result

    def integers(self, d: Doubles, limbs: Limbs) -> Limbs:
        """Limbs up to 2^51 as signed integers."""
        low = d.e.constant(bits_of(LOW))
        return [d.e.sub(d.bits(d.add(d.real(limb), d.constant(LOW))), low) for limb in limbs]

    def rippled(self, e: Emitter, limbs: Limbs) -> Limbs:
        """Signed integer limbs, carried one after the other: unsigned but for the last, which keeps the sign."""
        limbs = list(limbs)
        for index, width in enumerate(self.widths[:-1]):
            limbs[index + 1] = e.add(limbs[index + 1], e.sar(limbs[index], width))
            limbs[index] = e.mask(limbs[index], width)
        return limbs

    def unsigned_digits(self, value: int) -> list[int]:
        """A constant in the limbs' places, the last taking what is left."""
        digits = []
        for width in self.widths[:-1]:
            digits.append(value & ((1 << width) - 1))
            value >>= width
        return [*digits, value]

    def joined(self, e: Emitter, limbs: Limbs) -> Limbs:
        """Carried, unsigned integer limbs as 64-bit words."""
        words: Limbs = [e.constant(0)] * self.words
        for limb, place, width in zip(limbs, self.places, self.widths, strict=True):
            word, shift = divmod(place, 64)
            words[word] = e.builder.or_(words[word], e.shl(limb, shift))
            if shift + width > 64 and word + 1 < self.words:
                words[word + 1] = e.builder.or_(words[word + 1], e.shr(limb, 64 - shift))
        return words

    def parted(self, e: Emitter, words: Limbs, widths: Sequence[int]) -> Limbs:
        """64-bit words as unsigned integers of the given widths; what lies above them is left out."""
        limbs, place = [], 0
        for width in widths:
            word, shift = divmod(place, 64)
            limb = e.shr(words[word], shift) if word < len(words) else e.constant(0)
            if shift + width > 64 and word + 1 < len(words):
                limb = e.builder.or_(limb, e.shl(words[word + 1], 64 - shift))
            limbs.append(e.mask(limb, width))
            place += width
        return limbs
