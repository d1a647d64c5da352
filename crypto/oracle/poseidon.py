# SPDX-License-Identifier: GPL-3.0-or-later
"""Poseidon and Poseidon2 round by round, and the sponge over them.

A permutation is described by a `PoseidonSpec`. Each round adds its constants, takes the fifth power of every element (in
the R_F/2 rounds at each end) or of the first, and multiplies by a matrix; Poseidon2 multiplies once more before all.
Sources: eprint 2019/458, section 2, and eprint 2023/323, section 6.
"""

from __future__ import annotations

from collections.abc import Sequence

from supervm.kernels.poseidon_spec import PoseidonSpec

VARIABLE = 1 << 64
"""What the capacity element starts as for messages of any length (eprint 2019/458, section 4.2)."""


def permute(spec: PoseidonSpec, state: Sequence[int]) -> list[int]:
    """The permutation of t integers below the modulus."""
    p, half = spec.field.modulus, spec.full_rounds // 2
    x = list(state)
    if spec.first is not None:
        x = _multiply(spec.first, x, p)
    for index, constants in enumerate(spec.constants):
        x = [(value + c) % p for value, c in zip(x, constants, strict=True)]
        full = index < half or index >= half + spec.partial_rounds
        x = [pow(value, 5, p) if full or i == 0 else value for i, value in enumerate(x)]
        x = _multiply(spec.matrix if full else spec.inner, x, p)
    return x


def _multiply(matrix: Sequence[Sequence[int]], x: Sequence[int], p: int) -> list[int]:
    return [sum(c * value for c, value in zip(row, x, strict=True)) % p for row in matrix]


def compress(spec: PoseidonSpec, inputs: Sequence[int], capacity: int = 0) -> int:
    """The first element of the permutation of t − 1 inputs and the capacity element."""
    state = list(inputs)
    state.insert(spec.capacity, capacity)
    return permute(spec, state)[0]


def sponge(spec: PoseidonSpec, message: Sequence[int], *, fixed: bool) -> int:
    """The first element of the state after the whole message has been added in, t − 1 elements a permutation.

    Args:
        spec: the permutation.
        message: integers below the modulus.
        fixed: that the length is known to everybody: it goes into the capacity element, as length · 2^64, and zeros fill
            the last block. Otherwise that element is 2^64, and a one and zeros fill the last block, or one more.
    """
    p, rate = spec.field.modulus, spec.width - 1
    padded = [*message] if fixed else [*message, 1]
    padded += [0] * (-len(padded) % rate)
    state = [0] * spec.width
    state[spec.capacity] = len(message) << 64 if fixed else VARIABLE
    places = [i for i in range(spec.width) if i != spec.capacity]
    for start in range(0, max(len(padded), 1), rate):
        for place, value in zip(places, padded[start : start + rate], strict=False):
            state[place] = (state[place] + value) % p
        state = permute(spec, state)
    return state[0]
