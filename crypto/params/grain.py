# SPDX-License-Identifier: GPL-3.0-or-later
"""The Grain LFSR that Poseidon's constants come from (eprint 2019/458, appendix E; `generate_parameters_grain.sage`).

Eighty bits state the parameters, the first 160 outputs are dropped, and of each pair of bits that follows the second is
kept if the first is set.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_TAPS = (62, 51, 38, 23, 13, 0)
_BITS = 80
_STEP = _BITS - _TAPS[0]
"""So many new bits depend on bits that are there already."""
_DROPPED = 160
_PIECE = 512
"""Steps that are made at once."""


class Grain:
    """The bits for one permutation.

    Args:
        field_bits: n, the modulus' bits.
        width: t.
        full_rounds, partial_rounds: how many.
    """

    def __init__(self, field_bits: int, width: int, full_rounds: int, partial_rounds: int) -> None:
        prime_field, power_box = 1, 0
        parts = (
            (prime_field, 2),
            (power_box, 4),
            (field_bits, 12),
            (width, 12),
            (full_rounds, 10),
            (partial_rounds, 10),
            ((1 << 30) - 1, 30),
        )
        text = "".join(f"{value:0{bits}b}" for value, bits in parts)
        self._field_bits = field_bits
        self._state = int(text[::-1], 2)  # bit i of the integer is bit i of the register
        self._kept = np.empty(0, np.uint8)
        self._odd = self._run(-(-_DROPPED // _STEP))[_DROPPED:]

    def _run(self, steps: int) -> npt.NDArray[np.uint8]:
        """The next steps · 18 bits of the register."""
        state, produced = self._state, 0
        for index in range(steps):
            fresh = 0
            for tap in _TAPS:
                fresh ^= state >> tap
            fresh &= (1 << _STEP) - 1
            state = state >> _STEP | fresh << _TAPS[0]
            produced |= fresh << (index * _STEP)
        self._state = state
        size = -(-steps * _STEP // 8)
        packed = np.frombuffer(produced.to_bytes(size, "little"), np.uint8)
        return np.unpackbits(packed, bitorder="little")[: steps * _STEP]

    def integer(self) -> int:
        """The next n bits, the highest first."""
        while self._kept.size < self._field_bits:
            bits = np.concatenate((self._odd, self._run(_PIECE)))
            pairs = bits[: bits.size // 2 * 2].reshape(-1, 2)
            self._odd = bits[pairs.size :]
            self._kept = np.concatenate((self._kept, pairs[pairs[:, 0] == 1, 1]))
        taken, self._kept = self._kept[: self._field_bits], self._kept[self._field_bits :]
        padded = np.concatenate((np.zeros(-self._field_bits % 8, np.uint8), taken))
        return int.from_bytes(np.packbits(padded).tobytes(), "big")

    def element(self, modulus: int) -> int:
        """The next integer below the modulus; larger ones are skipped."""
        value = self.integer()
        while value >= modulus:
            value = self.integer()
        return value
