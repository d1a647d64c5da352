# SPDX-License-Identifier: GPL-3.0-or-later
"""LLVM building blocks that the field code generators share, for one lane or many."""

from __future__ import annotations

from llvmlite import ir

from supervm.kernels.cpu.lanes.lanes import IFMA, LanesType, call_llvm, splat_constant

I64 = ir.IntType(64)
I128 = ir.IntType(128)

_SHORT = 28


class Emitter:
    """Writes 64-bit lane instructions at the builder's position."""

    def __init__(self, builder: ir.IRBuilder, lanes: LanesType) -> None:
        self.builder = builder
        self.lanes = lanes

    def constant(self, value: int) -> ir.Constant:
        """`value` modulo 2^64 in every lane."""
        return splat_constant(self.lanes, value)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """a + b modulo 2^64."""
        return self.builder.add(a, b)

    def sub(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """a − b modulo 2^64."""
        return self.builder.sub(a, b)

    def mask(self, a: ir.Value, bits: int) -> ir.Value:
        """The low `bits` bits of a."""
        return self.builder.and_(a, self.constant((1 << bits) - 1))

    def shl(self, a: ir.Value, bits: int) -> ir.Value:
        """a · 2^bits modulo 2^64; `bits` is below 64, as in all shifts of lanes."""
        return self.builder.shl(a, self.constant(bits)) if bits else a

    def shr(self, a: ir.Value, bits: int) -> ir.Value:
        """⌊a / 2^bits⌋ of unsigned lanes."""
        return self.builder.lshr(a, self.constant(bits)) if bits else a

    def sar(self, a: ir.Value, bits: int) -> ir.Value:
        """⌊a / 2^bits⌋ of signed lanes."""
        return self.builder.ashr(a, self.constant(bits))

    def scale(self, a: ir.Value, factor: int) -> ir.Value:
        """a · factor for a small positive factor: shifts and additions where they are few.

        Raises:
            ValueError: the factor is not positive.
        """
        if factor < 1:
            raise ValueError(f"a factor of {factor}; expected a positive one")
        if factor & (factor - 1) == 0:
            return self.shl(a, factor.bit_length() - 1)
        if bin(factor).count("1") == 2:
            low = (factor & -factor).bit_length() - 1
            return self.add(self.shl(a, low), self.shl(a, factor.bit_length() - 1))
        return self.builder.mul(a, self.constant(factor))

    def madd_low(self, total: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        """total + (a·b mod 2^52), reading the low 52 bits of a and b."""
        return self._madd("l", total, a, b)

    def madd_high(self, total: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        """total + ⌊a·b / 2^52⌋, reading the low 52 bits of a and b."""
        return self._madd("h", total, a, b)

    def _madd(self, half: str, total: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        name = f"llvm.x86.avx512.vpmadd52{half}.uq.512"
        return call_llvm(self.builder, name, self.lanes.llvm, [total, a, b])

    def wide(self, a: ir.Value) -> ir.Value:
        """One 64-bit lane as 128 bits."""
        return self.builder.zext(a, I128)

    def product(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """The 128-bit product of two 64-bit values."""
        return self.builder.mul(self.wide(a), self.wide(b))

    def wide_shr(self, a: ir.Value, bits: int) -> ir.Value:
        """⌊a / 2^bits⌋ of an unsigned 128-bit value; `bits` is below 128."""
        return self.builder.lshr(a, ir.Constant(I128, bits))

    def narrow(self, a: ir.Value, bits: int = 64) -> ir.Value:
        """The low `bits` bits of a 128-bit value in 64."""
        low = self.builder.trunc(a, I64)
        return low if bits == 64 else self.mask(low, bits)

    def split(self, words: list[ir.Value], radix: int, count: int) -> list[ir.Value]:
        """64-bit words, little end first, as `count` limbs of `radix` bits; the last limb takes what is left."""
        limbs = []
        for index in range(count):
            word, shift = divmod(index * radix, 64)
            limb = self.shr(words[word], shift) if word < len(words) else self.constant(0)
            if shift + radix > 64 and word + 1 < len(words):
                limb = self.builder.or_(limb, self.shl(words[word + 1], 64 - shift))
            limbs.append(self.mask(limb, radix))
        return limbs

    def join(self, limbs: list[ir.Value], radix: int, count: int) -> list[ir.Value]:
        """The inverse of `split`: carried limbs as `count` 64-bit words."""
        words: list[ir.Value] = [self.constant(0)] * count
        for index, limb in enumerate(limbs):
            word, shift = divmod(index * radix, 64)
            if word < count:
                words[word] = self.builder.or_(words[word], self.shl(limb, shift))
            if shift + radix > 64 and word + 1 < count:
                words[word + 1] = self.builder.or_(words[word + 1], self.shr(limb, 64 - shift))
        return words

    def multiply_high(self, words: list[ir.Value], factor: int, shift: int) -> list[ir.Value]:
        """(words · factor + 2^(shift−1)) >> shift for four words and a constant, as two words."""
        if self.lanes.width == 1:
            wide = ir.IntType(640)
            total: ir.Value = ir.Constant(wide, 1 << (shift - 1))
            for index, word in enumerate(words):
                product = self.builder.mul(self.builder.zext(word, wide), ir.Constant(wide, factor))
                total = self.builder.add(total, self.builder.shl(product, ir.Constant(wide, 64 * index)))
            return [
                self.builder.trunc(self.builder.lshr(total, ir.Constant(wide, shift + 64 * index)), I64)
                for index in range(2)
            ]
        if self.lanes.multiplier == IFMA:
            radix, columns = 52, self._columns_by_ifma(words, factor, shift)
        else:
            radix, columns = _SHORT, self._columns_of_short_products(words, factor, shift)
        for index in range(len(columns) - 1):
            columns[index + 1] = self.add(columns[index + 1], self.shr(columns[index], radix))
            columns[index] = self.mask(columns[index], radix)
        skipped, rest = divmod(shift, radix)
        joined = self.join(columns[skipped:], radix, 3)
        return [
            self.builder.or_(self.shr(joined[index], rest), self.shl(joined[index + 1], 64 - rest))
            for index in range(2)
        ]

    def _columns_by_ifma(self, words: list[ir.Value], factor: int, shift: int) -> list[ir.Value]:
        """words · factor + 2^(shift−1) in columns of 52 bits."""
        limbs = self.split(words, 52, 5)
        parts = digits(factor, 52, -(-factor.bit_length() // 52))
        columns: list[ir.Value] = [
            self.constant(digit) for digit in digits(1 << (shift - 1), 52, len(limbs) + len(parts))
        ]
        for i, limb in enumerate(limbs):
            for j, part in enumerate(parts):
                columns[i + j] = self.madd_low(columns[i + j], limb, self.constant(part))
                columns[i + j + 1] = self.madd_high(columns[i + j + 1], limb, self.constant(part))
        return columns

    def _columns_of_short_products(self, words: list[ir.Value], factor: int, shift: int) -> list[ir.Value]:
        """The same in columns of 28 bits: every vector unit multiplies 32-bit integers, and ten products of 56 bits fit."""
        limbs = self.split(words, _SHORT, 10)
        parts = digits(factor, _SHORT, -(-factor.bit_length() // _SHORT))
        columns: list[ir.Value] = [
            self.constant(digit) for digit in digits(1 << (shift - 1), _SHORT, len(limbs) + len(parts))
        ]
        for i, limb in enumerate(limbs):
            for j, part in enumerate(parts):
                if part:
                    columns[i + j] = self.add(columns[i + j], self.builder.mul(limb, self.constant(part)))
        return columns


def digits(value: int, radix: int, count: int) -> list[int]:
    """`value` in `count` digits of `radix` bits, little end first; what does not fit stays in the last digit."""
    parts = [(value >> (radix * index)) & ((1 << radix) - 1) for index in range(count - 1)]
    return [*parts, value >> (radix * (count - 1))]
