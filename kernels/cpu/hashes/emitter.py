# SPDX-License-Identifier: GPL-3.0-or-later
"""LLVM building blocks that the hash generators share, for one lane or many.

A hash kernel is a pair of a specification and a lane type. The marker of that pair (`HashKernel`) is what
compiled code receives; its type carries both, so that every generator knows what to write.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir
from numba import types
from numba.core import cgutils

from supervm.kernels.cpu.lanes.lanes import I32, I64, Lanes, LanesType, call_llvm, every, splat_constant
from supervm.kernels.cpu.lanes.numba_types import register_marker
from supervm.kernels.cpu.lanes.transpose import transpose
from supervm.kernels.hash_spec import KnownSpec


class HashKernel:
    """A marker that tells a kernel which hash function to compute in which lanes.

    Args:
        dedicated: whether messages that a Merkle tree has are hashed by the processor's instructions for SHA-256,
            several at once, instead of in lanes.
    """

    def __init__(self, spec: KnownSpec, lanes: Lanes, *, dedicated: bool = False) -> None:
        self.spec = spec
        self.lanes = lanes
        self.dedicated = dedicated
        self.type = HashKernelType(spec, lanes.type, dedicated)

    def __repr__(self) -> str:
        return f"HashKernel({self.spec.name}, {self.lanes}{', dedicated=True' if self.dedicated else ''})"


class HashKernelType(types.Type):
    """Numba type of a hash kernel's marker."""

    def __init__(self, spec: KnownSpec, lanes: LanesType, dedicated: bool) -> None:
        self.spec = spec
        self.lanes = lanes
        self.dedicated = dedicated
        super().__init__(name=f"Hash[{spec.name}, {lanes.name}{', dedicated' if dedicated else ''}]")

    @property
    def key(self) -> tuple[str, int, int, bool]:
        """By what Numba tells types apart: the hash's name, bits and width of the lanes, `dedicated`."""
        return self.spec.name, self.lanes.bits, self.lanes.width, self.dedicated


register_marker(HashKernel, HashKernelType, lambda kernel: kernel.type)


class Kept:
    """Words that a loop carries from turn to turn: LLVM makes registers of them."""

    def __init__(self, builder: ir.IRBuilder, words: Sequence[ir.Value]) -> None:
        self.builder = builder
        self.slots = [cgutils.alloca_once_value(builder, word) for word in words]

    def read(self) -> list[ir.Value]:
        """The words as they are at the builder's position, in their order."""
        return [self.builder.load(slot) for slot in self.slots]

    def write(self, words: Sequence[ir.Value]) -> None:
        """Replace all words; there are as many as at first."""
        for slot, word in zip(self.slots, words, strict=True):
            self.builder.store(word, slot)


class HashEmitter:
    """Writes word instructions at the builder's position; a word is one lane vector."""

    def __init__(self, builder: ir.IRBuilder, lanes: LanesType) -> None:
        self.builder = builder
        self.lanes = lanes

    def constant(self, value: int) -> ir.Constant:
        """`value` modulo 2^bits in every lane."""
        return splat_constant(self.lanes, value)

    def keep(self, words: Sequence[ir.Value]) -> Kept:
        """Words for a loop to carry, at first these."""
        return Kept(self.builder, words)

    def table(self, name: str, words: Sequence[int]) -> ir.Value:
        """Pointer to the first of these constants, which the module holds once under this name."""
        element = ir.IntType(self.lanes.bits)
        constant = ir.Constant(
            ir.ArrayType(element, len(words)), [ir.Constant(element, word) for word in words]
        )
        table = self.builder.module.globals.get(name) or cgutils.global_constant(self.builder, name, constant)
        return self.builder.bitcast(table, element.as_pointer())

    def every(self, value: ir.Value) -> ir.Value:
        """The same word in all lanes."""
        return every(self.builder, self.lanes.llvm, value)

    def add(self, *terms: ir.Value) -> ir.Value:
        """The sum, taken from the left."""
        total = terms[0]
        for term in terms[1:]:
            total = self.builder.add(total, term)
        return total

    def xor(self, *terms: ir.Value) -> ir.Value:
        """The exclusive or."""
        total, *rest = terms
        while len(rest) >= 2:
            total, rest = self._ternary(0x96, total, *rest[:2]), rest[2:]
        return self.builder.xor(total, rest[0]) if rest else total

    def choose(self, mask: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        """Bit by bit, a where the mask is 1 and b where it is 0."""
        return self._ternary(0xCA, mask, a, b)

    def majority(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """Bit by bit, what at least two of the three say."""
        return self._ternary(0xE8, a, b, c)

    def xor_and_not(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a ⊕ (¬b ∧ c)."""
        return self._ternary(0xD2, a, b, c)

    def _ternary(self, table: int, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """Any function of three bits: the result for (a, b, c) is bit 4a + 2b + c of the table.

        One instruction where a word is an AVX-512 register. LLVM finds it by itself for some of the shapes
        only, and pulls common pairs out of sums of three that belong together.
        """
        if self.lanes.bits * self.lanes.width == 512:
            name = f"llvm.x86.avx512.pternlog.{'d' if self.lanes.bits == 32 else 'q'}.512"
            return call_llvm(self.builder, name, a.type, [a, b, c, ir.Constant(I32, table)])
        builder = self.builder
        if table == 0x96:
            return builder.xor(builder.xor(a, b), c)
        if table == 0xCA:
            return builder.xor(c, builder.and_(a, builder.xor(b, c)))
        if table == 0xE8:
            return builder.xor(b, builder.and_(builder.xor(a, b), builder.xor(b, c)))
        return builder.xor(a, builder.and_(builder.not_(b), c))

    def rotate_left(self, word: ir.Value, count: int) -> ir.Value:
        """The word rotated to the left by `count` bits, less than a word."""
        return self.join_left(word, word, count)

    def rotate_right(self, word: ir.Value, count: int) -> ir.Value:
        """The word rotated to the right by `count` bits, less than a word."""
        operands = [word, word, self.constant(count)]
        return call_llvm(self.builder, f"llvm.fshr.{self._suffix()}", word.type, operands)

    def join_left(self, high: ir.Value, low: ir.Value, count: int) -> ir.Value:
        """The upper word of the pair high ‖ low after a shift to the left by `count`, less than a word."""
        operands = [high, low, self.constant(count)]
        return call_llvm(self.builder, f"llvm.fshl.{self._suffix()}", high.type, operands)

    def shift_right(self, word: ir.Value, count: int) -> ir.Value:
        """The word shifted to the right by `count` bits, less than a word; zeros come in."""
        return self.builder.lshr(word, self.constant(count))

    def swap_bytes(self, word: ir.Value) -> ir.Value:
        """The word with its bytes in the opposite order."""
        return call_llvm(self.builder, f"llvm.bswap.{self._suffix()}", word.type, [word])

    def _suffix(self) -> str:
        element = f"i{self.lanes.bits}"
        return element if self.lanes.width == 1 else f"v{self.lanes.width}{element}"

    def load_words(self, cursors: Sequence[ir.Value], count: int) -> list[ir.Value]:
        """`count` words from each lane's own address, lane by lane in one vector per word."""
        width = self.lanes.width
        words: list[ir.Value] = []
        whole = count - count % width
        for first in range(0, whole, width):
            words += transpose(self.builder, [self._load_row(cursor, first) for cursor in cursors])
        for position in range(whole, count):
            words.append(self._load_column(cursors, position))
        return words

    def _load_row(self, cursor: ir.Value, first: int) -> ir.Value:
        """As many consecutive words as there are lanes."""
        address = self.builder.gep(cursor, [ir.Constant(I64, first * self.lanes.bits // 8)])
        return self.builder.load(self.builder.bitcast(address, self.lanes.llvm.as_pointer()), align=1)

    def _load_column(self, cursors: Sequence[ir.Value], position: int) -> ir.Value:
        """One word of each lane."""
        column = ir.Constant(self.lanes.llvm, ir.Undefined)
        for lane, cursor in enumerate(cursors):
            address = self.builder.gep(cursor, [ir.Constant(I64, position * self.lanes.bits // 8)])
            pointer = self.builder.bitcast(address, ir.IntType(self.lanes.bits).as_pointer())
            word = self.builder.load(pointer, align=1)
            column = self.builder.insert_element(column, word, ir.Constant(I32, lane))
        return column

    def store_words(self, words: Sequence[ir.Value], targets: Sequence[ir.Value]) -> None:
        """Write each lane's words to its own address."""
        width = self.lanes.width
        for first in range(0, len(words), width):
            part = list(words[first : first + width])
            missing = [ir.Constant(self.lanes.llvm, ir.Undefined)] * (width - len(part))
            for target, row in zip(targets, transpose(self.builder, part + missing), strict=True):
                address = self.builder.gep(target, [ir.Constant(I64, first * self.lanes.bits // 8)])
                value = row if len(part) == width else self._first_elements(row, len(part))
                self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()), align=1)

    def _first_elements(self, row: ir.Value, count: int) -> ir.Value:
        chosen = ir.Constant(ir.VectorType(I32, count), [ir.Constant(I32, index) for index in range(count)])
        return self.builder.shuffle_vector(row, ir.Constant(row.type, ir.Undefined), chosen)
