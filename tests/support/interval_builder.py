# SPDX-License-Identifier: GPL-3.0-or-later
"""An llvmlite builder whose values are intervals of Python integers.

Code generators write through it as through the real one. Run on the widest inputs that a contract allows it proves bounds;
run on single integers it computes what the compiled code would.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from llvmlite import ir


class BoundError(Exception):
    """A value leaves its word, or bits are lost."""


@dataclass(eq=False, slots=True)
class Interval:
    """Every integer that a word of `bits` bits may hold here.

    `shifts` are the distances by which the value has been shifted down, so that cutting it there loses nothing. `modular`
    marks words that were cut; arithmetic on them counts as a loss, unless `shifts` says where the upper bits went.
    """

    lo: int
    hi: int
    bits: int = 64
    modular: bool = False
    shifts: set[int] = field(default_factory=set)

    @property
    def exact(self) -> bool:
        return self.lo == self.hi


class Standin:
    """An llvmlite builder on intervals. Values of one lane stand for every lane.

    Args:
        signed: whether 64-bit words are two's complement, as the lanes of `montgomery_field` are.
        modulo_word: constants that are multiplied modulo the word on purpose (Montgomery's −1/p).
    """

    def __init__(self, signed: bool = False, modulo_word: Iterable[int] = ()) -> None:
        self.signed = signed
        self.modulo_word = set(modulo_word)
        self.module = self
        self.globals = self
        self.masked: list[tuple[Interval, int]] = []
        self.low_products: dict[Any, Any] = {}
        self.high_products: dict[Any, Any] = {}

    def get(self, name: str) -> str:
        """The intrinsic `name`, as its name."""
        return name

    def lost(self) -> int:
        """Masked values whose upper bits went nowhere, and low products without their high halves."""
        masks = sum(bits not in value.shifts for value, bits in self.masked)
        return masks + len(self.low_products.keys() - self.high_products.keys())

    def _whole(self, value: Any) -> Interval:
        """An operand whose every bit counts: what was cut off it must be found elsewhere."""
        read = _read(value)
        if read.modular and not read.exact:
            self.masked.append((read, read.bits))
        return read

    # Arithmetic: must fit ----------------------------------------------------------------------------------

    def _fit(self, lo: int, hi: int, bits: int, what: str) -> Interval:
        signed = self.signed or bits > 128
        if lo < (-(1 << (bits - 1)) if signed else 0) or hi >= 1 << (bits - signed):
            raise BoundError(f"{what}: {lo:#x} … {hi:#x} in {bits} bits")
        return Interval(lo, hi, bits)

    def add(self, a: Any, b: Any) -> Interval:
        x, y = self._whole(a), self._whole(b)
        return self._fit(x.lo + y.lo, x.hi + y.hi, x.bits, "sum")

    def sub(self, a: Any, b: Any) -> Interval:
        x, y = self._whole(a), self._whole(b)
        return self._fit(x.lo - y.hi, x.hi - y.lo, x.bits, "difference")

    def mul(self, a: Any, b: Any) -> Interval:
        x, y = self._whole(a), self._whole(b)
        if y.exact and y.lo in self.modulo_word:
            return _modulo(x.lo * y.lo if x.exact else None, x.bits)
        if x.lo < 0 or y.lo < 0:
            raise BoundError("product of a negative value")
        return self._fit(x.lo * y.lo, x.hi * y.hi, x.bits, "product")

    def call(self, name: str, args: list[Any]) -> Interval:
        total, (x, y) = self._whole(args[0]), (self._whole(arg) for arg in args[1:])
        keys = tuple(self._whole(arg).lo if isinstance(arg, ir.Constant) else id(arg) for arg in args[1:])
        modulo = any(value.exact and value.lo in self.modulo_word for value in (x, y))
        for value in (x, y):
            if value.lo < 0 or (value.hi >> 52 and not modulo and 52 not in value.shifts):
                raise BoundError(f"multiplier reads {value.lo:#x} … {value.hi:#x}")
        cut = x.hi >> 52 or y.hi >> 52
        low, high = (0, (1 << 104) - (1 << 53) + 1) if cut else (x.lo * y.lo, x.hi * y.hi)
        if x.exact and y.exact:
            low = high = (x.lo % (1 << 52)) * (y.lo % (1 << 52))
        if name == "llvm.x86.avx512.vpmadd52h.uq.512":
            self.high_products[keys] = args
            part = Interval(low >> 52, high >> 52)
        else:
            assert name == "llvm.x86.avx512.vpmadd52l.uq.512"
            if high >> 52 and not modulo:
                self.low_products[keys] = args
            if low == high:
                low = high = low % (1 << 52)
            part = Interval(low, high) if high < 1 << 52 else Interval(0, (1 << 52) - 1)
        return self.add(total, part)

    # Bits: may cut ------------------------------------------------------------------------------------------

    def and_(self, a: Any, b: Any) -> Interval:
        x, mask = _read(a), _read(b).lo
        if x.exact:
            return Interval(x.lo & mask, x.lo & mask, x.bits)
        if x.lo >= 0 and x.hi <= mask and not x.modular:
            return x
        assert mask & (mask + 1) == 0, "masks keep low bits"
        self.masked.append((x, mask.bit_length()))
        return Interval(0, mask, x.bits)

    def or_(self, a: Any, b: Any) -> Interval:
        x, y = _read(a), _read(b)
        modular = x.modular or y.modular
        if x.exact and y.exact:
            return Interval(x.lo | y.lo, x.lo | y.lo, x.bits, modular)
        return Interval(max(x.lo, y.lo), (1 << max(x.hi, y.hi).bit_length()) - 1, x.bits, modular)

    def shl(self, a: Any, b: Any) -> Interval:
        x, count = _read(a), _read(b).lo
        if x.lo >= 0 and x.hi << count < 1 << (x.bits - self.signed):
            return Interval(x.lo << count, x.hi << count, x.bits, x.modular)
        return _modulo(x.lo << count if x.exact else None, x.bits)

    def lshr(self, a: Any, b: Any) -> Interval:
        x, count = _read(a), _read(b).lo
        if x.lo < 0 and x.bits <= 128:
            raise BoundError("unsigned shift of a negative value")
        x.shifts.add(count)
        return Interval(x.lo >> count, x.hi >> count, x.bits)

    def ashr(self, a: Any, b: Any) -> Interval:
        x, count = self._whole(a), _read(b).lo
        x.shifts.add(count)
        return Interval(x.lo >> count, x.hi >> count, x.bits)

    def zext(self, a: Any, to: ir.IntType) -> Interval:
        x = self._whole(a)
        return Interval(x.lo, x.hi, to.width)

    def trunc(self, a: Any, to: ir.IntType) -> Interval:
        x = _read(a)
        if x.lo >= 0 and x.hi >> to.width == 0:
            cut = Interval(x.lo, x.hi, to.width, x.modular)
        else:
            cut = _modulo(x.lo if x.exact else None, to.width)
        cut.shifts = x.shifts  # one set: what is shifted out of the wide value is not lost to the narrow one
        return cut

    def icmp_signed(self, predicate: str, a: Any, b: Any) -> bool | None:
        x, limit = self._whole(a), _read(b).lo
        assert predicate == "<"
        return True if x.hi < limit else False if x.lo >= limit else None

    def select(self, condition: bool | None, a: Interval, b: Interval) -> Interval:
        if condition is None:
            return Interval(min(a.lo, b.lo), max(a.hi, b.hi), a.bits)
        return a if condition else b


def _read(value: Any) -> Interval:
    if isinstance(value, Interval):
        return value
    constant = value.constant[0] if isinstance(value.constant, list) else value
    bits = constant.type.width
    return Interval(constant.constant, constant.constant, bits)


def _modulo(value: int | None, bits: int) -> Interval:
    if value is None:
        return Interval(0, (1 << bits) - 1, bits, modular=True)
    return Interval(value % (1 << bits), value % (1 << bits), bits)
