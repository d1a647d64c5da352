# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptions of hash functions as plain integers.

An instance (in `supervm.crypto.params.hashes`) states one function once, with its source; the code generators
in `supervm.kernels.cpu` and the constants of other backends are made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class HashSpec:
    """What every function here has in common: words, blocks, a digest, padding at the end.

    Args:
        name: the operation's name in the registry.
        word_bits: 32 or 64.
        big_endian: the order of the bytes of a word in messages and digests.
        block_bytes: bytes that one compression takes.
        digest_bytes: bytes of the result.
        padding_bytes: what must at least be added to a message before it is cut into blocks.
        marker: the byte that follows the message (0: none).
        last_marker: what is combined into the last byte of the last block (0: nothing).
        length_bytes: bytes at the end of the last block that hold the message's length in bits, big-endian.
    """

    name: str
    word_bits: int
    big_endian: bool
    block_bytes: int
    digest_bytes: int
    padding_bytes: int
    marker: int
    last_marker: int
    length_bytes: int

    @property
    def block_words(self) -> int:
        """Words of a block."""
        return self.block_bytes * 8 // self.word_bits

    @property
    def digest_words(self) -> int:
        """Words of a digest."""
        return self.digest_bytes * 8 // self.word_bits

    def blocks(self, length: int) -> int:
        """Compressions that a message of `length` bytes takes."""
        return max(1, -(-(length + self.padding_bytes) // self.block_bytes))


@dataclass(frozen=True)
class Sha2Spec(HashSpec):
    """A member of the SHA-2 family.

    Args:
        initial: the eight words of the starting state.
        constants: one word per round.
        big_sigma0, big_sigma1: three rotations to the right, of the state words a and e.
        small_sigma0, small_sigma1: two rotations and one shift to the right, of the message schedule.
    """

    initial: tuple[int, ...]
    constants: tuple[int, ...]
    big_sigma0: tuple[int, int, int]
    big_sigma1: tuple[int, int, int]
    small_sigma0: tuple[int, int, int]
    small_sigma1: tuple[int, int, int]


@dataclass(frozen=True)
class KeccakSpec(HashSpec):
    """A sponge over Keccak-f[1600].

    Args:
        rotations: of lane (x, y) at index x + 5y, to the left.
        round_constants: what each round adds to lane (0, 0).
    """

    rotations: tuple[int, ...]
    round_constants: tuple[int, ...]


@dataclass(frozen=True)
class Blake2Spec(HashSpec):
    """An unkeyed BLAKE2 function in sequential mode.

    Args:
        initial: the eight words of the initialisation vector.
        parameters: the first word of the parameter block, which is combined into the first state word.
        schedule: for each round, the order in which it takes the message words.
        rotations: the four rotations of the mixing function, to the right.
    """

    initial: tuple[int, ...]
    parameters: int
    schedule: tuple[tuple[int, ...], ...]
    rotations: tuple[int, int, int, int]


@dataclass(frozen=True)
class Ripemd160Spec(HashSpec):
    """RIPEMD-160: two lines of eighty steps, sixteen of which use one function, one constant and one order of the words.

    Args:
        initial: the five words of the starting state.
        orders: for each step, which word of the block the left line takes, and which the right one.
        rotations: for each step, to the left, in the left line and in the right one.
        constants: for each sixteen steps, what the left line adds, and what the right one does.
        rotation: the third word's, in every step.
    """

    initial: tuple[int, ...]
    orders: tuple[tuple[int, ...], tuple[int, ...]]
    rotations: tuple[tuple[int, ...], tuple[int, ...]]
    constants: tuple[tuple[int, ...], tuple[int, ...]]
    rotation: int


KnownSpec: TypeAlias = Sha2Spec | KeccakSpec | Blake2Spec | Ripemd160Spec
"""The families that kernels are generated for; the last one in one lane."""
